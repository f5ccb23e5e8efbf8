"""`trunk.cache`: the same numbers for less work; and what is refused before training."""

import json
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
BOTH = "task=[./reviews.yaml,./stars.yaml]"
FROM_1 = ("trunk.tuning=full", "trunk.train_from=1", "trunk.gradient_checkpointing=true")
TRUNKS = {"bert": "hf_encoder", "llama": "hf_decoder", "gpt2": "hf_decoder"}


@pytest.fixture
def train(mtl, folder, monkeypatch):
    """Words -> the run's losses and scores, what it said, and how many texts the trunk read each time."""
    runs, embed = [], Pretrained.embed

    def counted(trunk, ids):
        runs.append(len(ids))
        return embed(trunk, ids)

    monkeypatch.setattr(Pretrained, "embed", counted)
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


FULL, LORA = ("trunk.tuning=full", "optimizer.lr=0.001"), ("trunk.tuning=lora", "trunk.lora_modules=all-linear")


@pytest.mark.parametrize(
    "words",
    [
        ("bert", TEXTS, *FULL, "trunk.train_from=1"),
        ("bert", TOKENS, *LORA, "trunk.train_from=1", "prompt=keyword", "trunk.lora_dropout=0.2"),
        ("llama", TOKENS, *FULL, "trunk.train_from=0", "weighting=mgda"),
        ("llama", TEXTS, *LORA, "trunk.train_from=1", "trainer.accumulate=2"),
    ],
    ids=lambda words: " ".join(words[:1] + words[2::2]),
)
def test_a_run_from_the_states_below_has_the_numbers_of_one_through_all_layers(train, tiny_model, words):
    given = (*trunk_of(tiny_model, words[0]), *words[1:])
    expected, _, plain = train(*given)
    found, said, filling = train(*given, "trunk.cache=true", "again=true")
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    texts = sum(map(int, re.findall(r"once over (\d+) texts", said)))
    assert sum(filling) == texts + 2  # and the parts are held against the whole
    assert len(plain) > 12


def test_what_is_trained_from_cached_states_answers_as_what_is_not(mtl, folder, tiny_model):
    said = []
    for cache in ("true", "false"):
        done = mtl("train", TEXTS, *trunk_of(tiny_model, "bert"), *FULL, "trunk.train_from=1", f"trunk.cache={cache}")
        run = done.out.split("run ")[-1].split(")")[0]
        said.append(json.loads(mtl("predict", run, "--json", "a text it has never seen").out)["reviews"])
    assert said[0]["answer"] == said[1]["answer"]
    assert said[0]["probability"] == pytest.approx(said[1]["probability"], rel=1e-5)


@pytest.mark.parametrize("above", [lambda trunk, states, lengths: states, None])
def test_a_model_whose_parts_are_not_the_whole_is_refused(mtl, tiny_model, monkeypatch, above):
    monkeypatch.setattr(Pretrained, "above", above)
    done = mtl("train", TEXTS, *trunk_of(tiny_model, "bert"), *FULL, "trunk.train_from=1", "trunk.cache=true")
    assert done.code == 2
    assert "trunk.cache should be false: " in done.err
    assert "can't be begun at layer 1" in done.err


def test_another_layer_is_another_file(train, folder, tiny_model):
    given = (*trunk_of(tiny_model, "bert"), TEXTS, *FULL, "trunk.cache=./kept", "steps=1", "eval_every=1")
    for layer in (0, 1, 1):
        train(*given, f"trunk.train_from={layer}", "again=true")
    assert len(list((folder / "kept").glob("*.npy"))) == 2


@pytest.mark.parametrize(
    "words",
    [
        ("llama", TEXTS, "prompt=suffix", "prompt.length=3"),
        ("gpt2", BOTH, "prompt=suffix", "prompt.length={reviews: 2, stars: 4}", "prompt/text=keyword"),
        ("llama", BOTH, "prompt=reparam", "prompt.slot=end", "prompt.shared=true", "weighting=mgda"),
        ("gpt2", TEXTS, "prompt=attentional", "prompt.slot=end", "trunk.pooling=mean"),
    ],
    ids=lambda words: " ".join(words[::2]),
)
def test_a_prompt_behind_texts_that_are_known_has_the_numbers_of_one_behind_texts_that_are_read(
    train, tiny_model, words
):
    shutil.copy("reviews.yaml", "stars.yaml")
    given = (*trunk_of(tiny_model, words[0]), *words[1:])
    expected, _, _ = train(*given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pretrained, "encode", None)
        found, said, _ = train(*given, "trunk.cache=true", "again=true")
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert "running the trunk once over" in said


@pytest.mark.parametrize("tuned", [(), (*FULL, "trunk.train_from=4")], ids=["heads", "layers"])
def test_minilm_with_a_cache_has_the_numbers_of_minilm(train, minilm, tuned):
    given = (TEXTS, "trunk=minilm", "steps=4", "eval_every=4", *tuned)
    expected, _, _ = train(*given)
    found, _, _ = train(*given, "trunk.cache=true")
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
        (("trunk.tuning=lora",), "trunk.cache needs trunk.tuning=frozen, or trunk.train_from=LAYER. Found 'lora'"),
        (("trunk.tuning=full",), "trunk.cache needs trunk.tuning=frozen, or trunk.train_from=LAYER. Found 'full'"),
        (("prompt=soft",), "a learned prompt changes what the trunk reads, unless it stands behind the text"),
        (("prompt=suffix",), "unless it stands behind the text (prompt.slot=end) in a frozen decoder. Found True"),
        (FROM_1, "trunk.cache with trunk.train_from needs trunk.gradient_checkpointing=false. Found true"),
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


def test_keys_and_values_are_not_computed_again_in_the_backward_pass(mtl, tiny_model):
    words = (TEXTS, *trunk_of(tiny_model, "llama"), "prompt=suffix", "trunk.cache=true")
    done = mtl("train", *words, "trunk.gradient_checkpointing=true")
    assert done.code == 2
    assert done.err == "mtl: trunk.cache with a learned prompt needs trunk.gradient_checkpointing=false. Found true\n"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("cloze", "trunk.cache should be false: head=cloze adds words"),
        ("generation", "trunk.cache should be false: head=generation adds words"),
    ],
)
def test_what_changes_the_trunks_input_is_refused(part, message):
    config = {
        "trunk": {"cache": True, "tuning": "frozen", "tokenizer": {}},
        "trainer": {"precision": "32-true", "accelerator": "cpu"},
    }
    with pytest.raises(MtlError, match=message):
        cache_trunk(config, "", Mock(**{"prompt": None, "cloze": None, "generation": None, part: object()}), {})


def test_a_cuda_device_is_used_where_the_trainer_takes_it(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert [device_of(name) for name in ("auto", "gpu", "cuda", "cpu")] == ["cuda", "cuda", "cuda", "cpu"]
