"""A decoder answers in words, from the command line."""

import json

import pandas as pd
import pytest

pytest.importorskip("transformers", reason="the extra llm is not installed")
pytest.importorskip("peft", reason="the extra llm is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")
REVIEWS = ("train", "task=./reviews.yaml", "head=generation", "steps=4", "eval_every=4", "trunk=hf_decoder")


def run_of(done):
    assert done.code == 0, done.err
    return done.out.split("run ")[-1].split(")")[0]


def test_a_run_learns_to_say_the_labels(mtl, folder, tiny_model):
    learns = ("trunk.tuning=full", "steps=40", "eval_every=40", "optimizer.lr=0.003", "data.max_length=48")
    run = run_of(mtl(*REVIEWS, f"trunk.name={tiny_model('llama')}", *learns))
    import mtl as library

    found = library.runs("mtl").iloc[0]
    assert found["metrics.test/reviews/accuracy"] > 0.9
    assert found["metrics.test/reviews/format_failures"] == 0
    assert (
        0 < found["metrics.test/reviews/loss"] < 4.5
    )  # nats a token; log 309 = 5.7 for any, and the readout stands still
    (kept,) = folder.glob("outputs/*/*/predictions/reviews.parquet")
    said = pd.read_parquet(kept)
    assert (said.answer == said.target).mean() == pytest.approx(found["metrics.test/reviews/accuracy"])
    answers = [json.loads(line) for line in mtl("predict", run, "--json", "nice love", "poor awful").out.splitlines()]
    assert [answer["reviews"] for answer in answers] == [{"answer": "good"}, {"answer": "bad"}]


def test_what_an_untrained_model_says_is_no_label(mtl, folder, tiny_model):
    trunk = (f"trunk.name={tiny_model('gpt2')}", "trunk.tuning=lora", "optimizer.lr=0")
    run = run_of(mtl(*REVIEWS, *trunk))
    import mtl as library

    found = library.runs("mtl").iloc[0]
    assert found["metrics.val/reviews/format_failures"] == 1
    assert found["metrics.val/reviews/accuracy"] == 0
    assert json.loads(mtl("predict", run, "--json", "a nice book").out)["reviews"] == {"answer": None}
    assert mtl("predict", run, "a nice book").out == "reviews: (no label)\n"


@pytest.mark.parametrize(
    "words",
    [
        ("prompt=soft", "prompt.length=3", "prompt/text=keyword"),
        ("prompt=suffix", "prompt.length=3", "weighting=mgda", "trainer.accumulate=2"),
        ("prompt=prefix", "prompt.length=3", "weighting=mgda"),
        ("trunk.tuning=lora", "prompt=phrase", "weighting=pcgrad", "trainer.accumulate=2"),
    ],
)
def test_prompts_adapters_and_weightings_go_with_it_for_tasks_of_one_label_and_of_several(
    mtl, folder, tiny_model, words
):
    text = (folder / "reviews.csv").read_text().splitlines()
    moods = ["topics", *("|".join(w for w in ("nice", "sad") if w in line) for line in text[1:])]
    (folder / "topics.csv").write_text("\n".join(f"{a},{b}" for a, b in zip(text, moods, strict=True)))
    (folder / "topics.yaml").write_text(
        "kind: multilabel\nsource: topics.csv\ntext: comment\nlabel: topics\n"
        "keywords: [topics]\nphrase: 'which topics? {text}'\n"
    )
    tasks = "task=[./reviews.yaml,./topics.yaml]"
    more = (
        "data.max_length=48",
        "head.words={reviews:{good:[good,nice],bad:bad}}",
        f"trunk.name={tiny_model('llama')}",
    )
    run = run_of(mtl(*REVIEWS, tasks, *more, *words))
    said = json.loads(mtl("predict", run, "--json", "a nice book").out)
    assert said.keys() == {"text", "reviews", "topics"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("trunk=lstm",), "head=generation needs a trunk that goes on after a text: take trunk=hf_decoder"),
        (("trunk=hf_encoder", "trunk.name=./bert"), "head=generation needs a trunk that goes on after a text"),
        (("task=./names.yaml",), "head=generation answers classification and multilabel tasks. Task names is tagging"),
        (("head.words={x:{a:b}}",), "head.words should name tasks of the run: reviews. Found 'x'"),
        (("head.words={reviews:{good:nice,bad:nice}}",), "'nice' of label good reads like a word of label bad"),
        (("data.max_length=64",), "data.max_length and the longest answer should be at most 64"),
        ((), "nothing trains: the trunk is frozen and says words"),
        (("weighting=cosmos", "task=[./reviews.yaml,./again.yaml]"), "head=generation can't be told a preference"),
        (("tasks.reviews.metric=ranking_precision",), "metric should be accuracy"),
        (("trunk.cache=true",), "trunk.cache should be false: head=generation adds words"),
    ],
)
def test_what_cannot_be_said_is_one_line_before_training(mtl, folder, tiny_model, given, message):
    for kind in ("bert", "llama"):
        (folder / kind).symlink_to(tiny_model(kind))
    text = (folder / "reviews.yaml").read_text()
    (folder / "again.yaml").write_text(text.replace("label: stars", "label: stars\nlabels: [good, bad]"))
    done = mtl(*REVIEWS, *([] if "trunk=lstm" in given else ["trunk.name=./llama"]), *given)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1
