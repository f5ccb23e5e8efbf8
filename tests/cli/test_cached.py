"""`trunk.cache`: the same numbers for less work; and what is refused before training."""

import re
import shutil
from unittest.mock import Mock

import pytest

pytest.importorskip("transformers", reason="the extra llm is not installed")
pytest.importorskip("peft", reason="the extra llm is not installed")

import mtl as package
from mtl.cli.cached import cache_trunk, device_of
from mtl.errors import MtlError
from mtl.model.pretrained.trunk import Pretrained

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS, TOKENS = "task=./reviews.yaml", "task=[./reviews.yaml,names.yaml]"
TRUNKS = {"bert": "hf_encoder", "llama": "hf_decoder"}


@pytest.fixture
def train(mtl, folder, monkeypatch):
    """Words -> the run's losses and scores, what it said, and how often the trunk ran."""
    runs, forward = [], Pretrained.forward

    def counted(trunk, ids, lengths):
        runs.append(len(ids))
        return forward(trunk, ids, lengths)

    monkeypatch.setattr(Pretrained, "forward", counted)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "home"))

    def run(*words):
        runs.clear()
        done = mtl("train", "optimizer.lr=0.02", *words)
        assert done.code == 0, done.err
        assert "in the record already" not in done.out
        (found,) = package.runs("mtl", f"sqlite:///{folder / 'mlflow.db'}").head(1).to_dict("records")
        names = [name for name in found if re.match(r"metrics\.(train|val|test)/.*/(loss|accuracy|\w*f1)$", name)]
        return {name: found[name] for name in names}, done.err, list(runs)

    return run


def trunk_of(tiny_model, kind):
    return f"trunk={TRUNKS[kind]}", f"trunk.name={tiny_model(kind)}"


@pytest.mark.parametrize(
    "words",
    [
        ("bert", TEXTS),
        ("llama", TEXTS, "prompt=keyword", "weighting=uncertainty"),
        ("bert", TOKENS, "prompt=phrase", "weighting=famo"),
        ("llama", TOKENS, "head.dropout=0.3"),
        ("bert", TEXTS, "trainer.precision=bf16-mixed"),
    ],
    ids=lambda words: " ".join(words[::2]),
)
def test_a_run_with_a_cache_has_the_numbers_of_one_without(train, tiny_model, words):
    given = (*trunk_of(tiny_model, words[0]), *words[1:])
    expected, said, plain = train(*given)
    assert "trunk.cache" not in said
    first, said, _ = train(*given, "trunk.cache=true", "again=true")
    close = 1e-2 if "trainer.precision=bf16-mixed" in words else 1e-5
    assert first == pytest.approx(expected, rel=close, abs=close / 10)
    assert len(expected) >= 5
    assert "running the trunk once over" in said
    second, said, checking = train(*given, "trunk.cache=true", "again=true")
    assert second == first
    assert "texts found in" in said
    assert set(checking) == {1}
    assert len(checking) == said.count("trunk.cache")
    assert len(plain) > 12 > len(checking)


def test_minilm_with_a_cache_has_the_numbers_of_minilm(train, minilm):
    expected, _, _ = train(TEXTS, "trunk=minilm", "steps=4", "eval_every=4")
    found, _, _ = train(TEXTS, "trunk=minilm", "steps=4", "eval_every=4", "trunk.cache=true")
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_tasks_alone_find_what_both_together_left(train, folder, tiny_model):
    given = (*trunk_of(tiny_model, "bert"), "task=[./reviews.yaml,./stars.yaml]", "trunk.cache=./kept")
    shutil.copy("reviews.yaml", "stars.yaml")
    _, said, _ = train(*given)
    assert said.count("running the trunk once") == 1
    _, said, _ = train(*given, "switching=single", "switching.task=stars")
    assert said.count("texts found in") == 1
    assert len(list((folder / "kept").glob("*.npy"))) == 1
    assert not (folder / "home").exists()


def test_what_is_trained_with_a_cache_answers_and_is_the_same_run_wherever_it_lies(mtl, folder, tiny_model):
    words = ("train", TEXTS, *trunk_of(tiny_model, "bert"))
    done = mtl(*words, "trunk.cache=./kept")
    said = mtl("predict", done.out.split("run ")[-1].split(")")[0], "a text it has never seen")
    assert said.code == 0, said.err
    shutil.rmtree(folder / "kept")
    assert "in the record already" in mtl(*words, "trunk.cache=./elsewhere").out
    assert "in the record already" not in mtl(*words).out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("trunk.cache=3",), "trunk.cache should be true, false or a folder. Found 3"),
        (("trunk.cache=./reviews.csv",), "trunk.cache should be true, false or a folder. Found the file ./reviews.csv"),
        (("trunk.tuning=lora",), "trunk.cache needs trunk.tuning=frozen. Found 'lora'"),
        (("trunk.tuning=full",), "trunk.cache needs trunk.tuning=frozen. Found 'full'"),
        (("trainer.precision=bf16-true",), "trunk.cache needs trainer.precision to be 32-true, bf16-mixed, 16-mixed"),
        (("trunk=lstm", "~trunk.name", "+trunk.cache=true"), "trunk.cache needs a pretrained trunk"),
    ],
)
def test_what_cannot_be_kept_is_one_line_before_training(mtl, tiny_model, given, message):
    base = [word for word in trunk_of(tiny_model, "bert") if "~trunk.name" not in given]
    given = [word for word in given if word != "~trunk.name"]
    cache = [] if any("trunk.cache" in word for word in given) else ["trunk.cache=true"]
    done = mtl("train", TEXTS, *base, *cache, *given)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("prompt", "trunk.cache should be false: a learned prompt changes what the trunk reads"),
        ("cloze", "trunk.cache should be false: head=cloze adds words"),
    ],
)
def test_what_changes_the_trunks_input_is_refused(part, message):
    config = {
        "trunk": {"cache": True, "tuning": "frozen", "tokenizer": {}},
        "trainer": {"precision": "32-true", "accelerator": "cpu"},
    }
    with pytest.raises(MtlError, match=message):
        cache_trunk(config, "", Mock(**{"prompt": None, "cloze": None, part: object()}), {})


def test_a_cuda_device_is_used_where_the_trainer_takes_it(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert [device_of(name) for name in ("auto", "gpu", "cuda", "cpu")] == ["cuda", "cuda", "cuda", "cpu"]
