import pytest

from benchmarks.step import ARMS, main


@pytest.mark.slow
@pytest.mark.parametrize("data", [[], ["--data"]])
def test_prints_a_row_an_arm(capsys, data):
    assert main(["--trunk", "tiny", "--steps", "3", "--repeats", "1", *data]) == 0
    rows = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert rows[1:] == list(ARMS)
