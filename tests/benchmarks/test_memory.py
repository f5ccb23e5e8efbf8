import torch

from benchmarks.arms import Work
from benchmarks.memory import main, peak

MIB = 2**20


def test_the_peak_is_the_most_that_stands_at_a_time():
    def make():
        kept = torch.empty(3 * MIB, dtype=torch.uint8)

        def step(batch):
            first = torch.empty(5 * MIB, dtype=torch.uint8)
            del first
            second = torch.empty(4 * MIB, dtype=torch.uint8)
            return second[:1] + kept[:1]

        return step

    assert peak(Work("tiny", 2, own_rows=False), make) == 8 * MIB


def test_prints_a_ratio_an_arm(capsys):
    assert main(["--trunk", "tiny", "--tasks", "2", "--weightings", "equal,upgrad"]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    found = {(row[1].strip(), row[2].strip()): float(row[3]) for row in rows[1:]}
    assert {("equal", "losses"), ("upgrad", "features"), ("upgrad", "shared")} <= set(found)
    assert found["equal", "losses"] < found["upgrad", "shared"] < 3
