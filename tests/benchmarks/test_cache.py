import pytest

pytest.importorskip("transformers", reason="the extra llm is not installed")

from benchmarks.cache import main


def test_both_ratios_are_printed_and_training_is_the_same(capsys, tiny_model, monkeypatch):
    monkeypatch.setattr("benchmarks.cache.PIECES", 20)
    assert main(["--model", str(tiny_model("bert")), "--texts", "64", "--epochs", "2", "--repeats", "1"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == 3
