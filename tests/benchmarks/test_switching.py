import pytest

from benchmarks.switching import STEPS, main


@pytest.mark.slow
def test_prints_a_row_a_measurement(capsys):
    assert main(["--trunk", "tiny", "--steps", "3", "--repeats", "1"]) == 0
    rows = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 4 + 1 + len(STEPS)
