"""What a pretrained trunk knows, against transformers and scikit-learn called by hand."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from mtl.cli.build import announce
from mtl.data.task import TaskSpec
from mtl.data.tokenizer import PretrainedTokenizer
from mtl.design.analysis import targets, texts
from mtl.design.probes import probe
from mtl.design.trunk import Asked, Features, alike, describe, rank
from mtl.functional.similarity import linear_cka
from mtl.model.cache import Reader
from mtl.prompts.keyword import Keyword
from mtl.prompts.none import NoPrompt

SAID = {"good": ["good", "great", "nice"], "bad": ["bad", "awful", "terrible"]}


@pytest.fixture(scope="module")
def loaded(literal):
    generator = np.random.default_rng(0)
    labels = generator.choice(sorted(SAID), 90)
    said = [
        " ".join(generator.choice([*SAID[label], "the", "book", "was"], generator.integers(3, 9))) for label in labels
    ]
    source = literal(said, ["train"] * 60 + ["val"] * 28 + ["test"] * 2, stars=list(labels), like=list(labels[::-1]))
    specs = [TaskSpec(name, "classification", source, name, keywords=[word]) for name, word in
             (("stars", "good"), ("like", "story"))]  # fmt: skip
    return {spec.name: spec.load() for spec in specs}


@pytest.fixture(scope="module")
def asked(tiny_model):
    """The features of a tiny BERT, and a function that asks transformers for those of a text."""
    transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")
    from mtl.model.pretrained.trunk import Pretrained

    folder = str(tiny_model("bert"))
    model, tokenizer = transformers.AutoModel.from_pretrained(folder).eval(), PretrainedTokenizer(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def plain(text):
        ids = theirs(text, return_tensors="pt", truncation=False)["input_ids"]
        return model(ids).last_hidden_state[0].mean(0).numpy()

    return Features(Reader(Pretrained(0, False, folder, False).eval(), "texts", "cpu", None)), tokenizer, plain


def test_features_are_transformers_own_row_by_row_and_read_once(loaded, asked):
    features, encoder, plain = asked
    task = announce(loaded, NoPrompt(), encoder, 64)["stars"]
    rows = np.array([5, 3, 5])
    found = features(task.inputs, rows)
    wanted = [plain(loaded["stars"].corpus.texts[row]) for row in rows]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    reader, features.reader = features.reader, None
    np.testing.assert_array_equal(features(task.inputs, rows), found)
    features.reader = reader


def test_probes_are_scikit_learns_on_standardised_features(loaded, asked):
    features, encoder, plain = asked
    facts = describe(features, announce(loaded, NoPrompt(), encoder, 64)["stars"])
    (train_ND, train_N), (val_ND, val_N) = (
        (np.array([plain(text) for text in texts(loaded["stars"], split)]), targets(loaded["stars"], split))
        for split in ("train", "val")
    )
    scale = StandardScaler().fit(train_ND)
    said_N = LogisticRegression(max_iter=1000).fit(scale.transform(train_ND), train_N).predict(scale.transform(val_ND))
    near = KNeighborsClassifier(5, metric="cosine").fit(scale.transform(train_ND), train_N)
    assert facts.probes == {
        "majority": pytest.approx(max(np.mean(val_N == y) for y in [np.bincount(train_N).argmax()])),
        "linear": pytest.approx(accuracy_score(val_N, said_N)),
        "linear_f1": pytest.approx(f1_score(val_N, said_N, average="macro")),
        "knn": pytest.approx(accuracy_score(val_N, near.predict(scale.transform(val_ND)))),
    }
    assert facts.rows == (60, 28)
    assert facts.width == train_ND.shape[1]
    # exp of the entropy of the squared singular values' shares
    values = np.linalg.svd(train_ND - train_ND.mean(0), compute_uv=False) ** 2
    shares = values[values > 0] / values.sum()
    assert facts.rank == pytest.approx(np.exp(-np.sum(shares * np.log(shares))), rel=1e-3)


def test_rank_counts_directions():
    assert rank(np.array([[1.0, 0], [-1, 0]])) == pytest.approx(1)
    assert rank(np.array([[1.0, 5], [-1, 5], [0, 4], [0, 6]])) == pytest.approx(2)


def test_labels_that_the_features_hold_are_told_and_one_label_is_no_probe():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 80)
    points = generator.normal(size=(80, 3)) * 0.1 + labels[:, None]
    assert probe(points[:60], labels[:60], points[60:], labels[60:])["linear"] == 1
    assert probe(points, np.zeros(80, int), points, np.zeros(80, int)) == {"majority": 1.0}


def test_two_tasks_are_alike_as_far_as_their_words_are(loaded, asked):
    features, encoder, plain = asked
    tasks = announce(loaded, NoPrompt(), encoder, 64)
    prompts = {"none": NoPrompt(), "keyword": Keyword(keywords={"stars": ["good", "bad"], "like": ["story"]})}
    (pair,) = alike(Asked(features, tasks, prompts, encoder, 64))
    assert pair.tasks == ("stars", "like")
    assert pair.cka["none"] == pytest.approx(1)
    said = list(dict.fromkeys(texts(loaded["stars"], "train")))
    assert pair.rows == len(said)
    wanted = linear_cka(*(
        np.array([plain(f"{before}{text}") for text in said]) for before in ("good bad：", "story：")
    ))  # fmt: skip
    assert pair.cka["keyword"] == pytest.approx(wanted, abs=1e-4)
    assert pair.cka["keyword"] < 0.999
