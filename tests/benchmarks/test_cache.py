import re

import pytest

pytest.importorskip("transformers", reason="the extra llm is not installed")

from benchmarks.cache import main


def test_every_ratio_is_printed_and_training_is_the_same(capsys, tiny_model, monkeypatch):
    monkeypatch.setattr("benchmarks.cache.PIECES", 20)
    small = ["--texts", "64", "--epochs", "2", "--repeats", "1", "--decoder", "64,2", "--places", "2"]
    assert main(["--model", str(tiny_model("bert")), "--train-from", "1", *small]) == 0
    said = capsys.readouterr().out
    assert len([line for line in said.splitlines() if line.startswith("| ")]) == 1 + 4 + 2 + 2
    sizes = [int(size) for size in re.findall(r"(\d+) bytes a token", said.replace(",", ""))]
    assert sizes[1:] == [4 * 32, 2 * 2 * 64 * 4]  # width; layers x keys and values x width of all heads
