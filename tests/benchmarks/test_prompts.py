import pytest

pytest.importorskip("peft", reason="the extra llm is not installed")

from benchmarks import prompts


def test_every_ratio_is_printed_and_ours_computes_what_peft_does(capsys, tiny_model, monkeypatch):
    for module in ("prompts", "cache"):
        monkeypatch.setattr(f"benchmarks.{module}.PIECES", 20)
    words = ["--model", str(tiny_model("bert")), "--texts", "64", "--places", "3", "--repeats", "1", "--epochs", "1"]
    assert prompts.main(words) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(prompts.RATIOS)
