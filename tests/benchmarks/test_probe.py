import pytest

from benchmarks.probe import SWITCHINGS, main


@pytest.mark.slow
def test_prints_a_row_a_switching(capsys):
    assert main(["--trunk", "tiny", "--steps", "40", "--repeats", "1", "--tasks", "2"]) == 0
    rows = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert rows[1:] == list(SWITCHINGS)
