"""`mtl context-switch` on runs of tiny decoders."""

import csv
import random
import re
import xml.etree.ElementTree as ET

import pytest
from mlflow import MlflowClient

pytest.importorskip("transformers", reason="the extra llm is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")
TASKS = "task=[./reviews.yaml,./topics.yaml]"
ZERO_SHOT = ("head=cloze", "head.bias=true", "optimizer.lr=0", "steps=1", "eval_every=1")
WORDS = "head.words={reviews:{good:good,bad:bad},topics:{book:book,story:story}}"


@pytest.fixture
def topics(folder):
    """A second task of labels, beside `reviews`."""
    generator = random.Random(1)
    words = {"book": ["book", "the"], "story": ["story", "about"]}
    lines = ["text,label"]
    for number in range(120):
        label = generator.choice(sorted(words))
        lines.append(" ".join(generator.choices(words[label], k=3)) + f" {number},{label}")
    (folder / "topics.csv").write_text("\n".join(lines) + "\n")
    (folder / "topics.yaml").write_text("kind: classification\nsource: topics.csv\n")
    return folder


def run_of(done):
    assert done.code == 0, done.err
    return re.search(r"run (\w{32})", done.out)[1]


@pytest.fixture
def decoder(mtl, topics, tiny_model):
    """The id of a run of both tasks; rows of at most 12 tokens, 64 positions."""
    trunk = ("trunk=hf_decoder", f"trunk.name={tiny_model('gpt2')}")
    return run_of(mtl("train", TASKS, *trunk, *ZERO_SHOT, WORDS, "data.max_length=12"))


def test_a_table_is_printed_and_a_page_is_written_and_attached(mtl, folder, decoder):
    done = mtl("context-switch", decoder[:8], "--turns", "1,2", "--rows", "5", "--format", "csv")
    assert done.code == 0, done.err
    lines = list(csv.DictReader(done.out.splitlines()))
    tasks = ("reviews", "topics")
    pairs = [(line["history"], line["task"], line["turns"]) for line in lines]
    assert pairs == [("", name, "0") for name in tasks] + [(i, j, k) for i in tasks for j in tasks for k in "12"]
    assert all(line["rows"] == "5" and 0 <= float(line["format_failures"]) <= 1 for line in lines)
    text = (folder / f"context-switch-{decoder[:8]}.html").read_text()
    assert "<script" not in text
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", text.replace("xlink:href", "href"))
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) == 4  # of either length what the paper defines, and what is ours
    for drawing in drawings:
        ET.fromstring(drawing)
    for words in ("After 2 turns", "After 1 turn<", "loss sensitivity", "Gupta et al. 2024"):
        assert words in text
    files = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").list_artifacts(decoder, "context_switch")
    assert [file.path for file in files] == [f"context_switch/context-switch-{decoder[:8]}.html"]
    words = ("context-switch", decoder, "--turns", "1,2", "--rows", "5")
    assert mtl(*words, "--output", "a/t.csv", "--no-record").code == 0
    assert (folder / "a" / "t.csv").read_text() == done.out
    shown = mtl("context-switch", decoder, "--turns", "2", "--rows", "5", "--split", "val", "--no-record").out
    assert shown.split()[:3] == ["history", "task", "turns"]
    assert "scores: reviews accuracy, topics accuracy" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--turns", "0"), "turns should be whole numbers of at least 1. Found '0'"),
        (("--turns", "1,,2"), "turns should be whole numbers of at least 1. Found ''"),
        (("--rows", "few"), "rows should be a whole number of at least 1. Found 'few'"),
        (("--split", "train"), "split should be test or val. Found 'train'"),
        (("--output", "page.pdf"), "output should end in .html, .csv, .md or .tex. Found 'page.pdf'"),
        ((), "there is no run whose id begins with 'nothing' or that has this name"),
    ],
)
def test_a_wrong_word_is_one_line(mtl, folder, words, said):
    done = mtl("context-switch", "nothing", *words)
    assert (done.code, done.err) == (2, f"mtl: {said}\n")


def test_too_long_a_history_and_labels_that_changed_since_are_refused(mtl, folder, decoder):
    done = mtl("context-switch", decoder, "--turns", "1,20", "--rows", "3")
    assert done.code == 2
    assert re.fullmatch(
        r"mtl: turns should be at most [1-9]: with more, a conversation is longer than the 64 positions of the trunk. "
        r"Found 20\n",
        done.err,
    )
    file = folder / "topics.csv"
    file.write_text(file.read_text().replace(",story", ",tale"))
    done = mtl("context-switch", decoder)
    assert done.code == 2
    assert done.err == "mtl: task topics: the run knows the labels ['book', 'story']. Found ['book', 'tale']\n"


def test_a_run_that_says_its_answers_is_refused_as_what_it_is(mtl, topics, tiny_model):
    trunk = ("trunk=hf_decoder", f"trunk.name={tiny_model('gpt2')}", "prompt=soft", "prompt.length=2")
    said = run_of(mtl("train", TASKS, *trunk, "head=generation", "steps=1", "eval_every=1", "data.max_length=24"))
    done = mtl("context-switch", said)
    assert done.code == 2
    assert done.err == (
        f"mtl: run {said[:8]} says its answers; mtl context-switch scores label words: "
        "train it with trunk=hf_decoder head=cloze\n"
    )


@pytest.mark.slow
def test_runs_without_words_after_a_text_are_refused(mtl, topics, tiny_model):
    linear = run_of(mtl("train", TASKS, "steps=1", "eval_every=1"))
    assert "answers with linear heads" in mtl("context-switch", linear).err
    trunk = ("trunk=hf_encoder", f"trunk.name={tiny_model('bert')}", "prompt=phrase")
    phrases = ("tasks.reviews.phrase='{text} it is {mask}.'", "+tasks.topics.phrase='{text} it is {mask}.'")
    masked = run_of(mtl("train", TASKS, *trunk, *phrases, *ZERO_SHOT, WORDS))
    assert "its trunk is an encoder" in mtl("context-switch", masked).err
    trunk = ("trunk=hf_decoder", f"trunk.name={tiny_model('gpt2')}")
    alone = run_of(mtl("train", "task=./reviews.yaml", *trunk, *ZERO_SHOT))
    done = mtl("context-switch", alone)
    assert "has one task, reviews: there is nothing to switch between" in done.err
    assert (done.code, done.err.count("\n")) == (2, 1)
