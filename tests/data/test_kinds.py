"""Kinds of task against scikit-learn, seqeval and hand calculation."""

import io
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr
from seqeval.metrics import f1_score as seqeval_f1
from sklearn.metrics import accuracy_score, f1_score, label_ranking_average_precision_score, log_loss
from torch.nn.functional import one_hot

from mtl.data.kinds import KINDS, Classification, MultiLabel, Regression, Tagging
from mtl.data.kinds.tagging import IGNORED
from mtl.data.task import Task

BIO = ("O", "B-P", "I-P", "B-L", "I-L")
seeds = st.integers(0, 10_000)


def in_pieces(kind, outputs, targets, pieces):
    metrics = kind.metrics()
    for part in np.array_split(np.arange(len(targets)), pieces):
        if len(part):
            metrics.update(outputs[part], targets[part])
    return {name: float(value) for name, value in metrics.compute().items()}


@st.composite
def tagged_rows(draw):
    """Rows of (gold, predicted, kept) triples: any sequence of tags, some tokens without a target."""
    tag = st.sampled_from(range(len(BIO)))
    return draw(st.lists(st.lists(st.tuples(tag, tag, st.booleans()), min_size=1, max_size=9), min_size=1, max_size=6))


@given(tagged_rows(), st.integers(1, 3))
def test_span_f1_is_that_of_seqeval(rows, pieces):
    width = max(map(len, rows)) + 2
    target = torch.full((len(rows), width), IGNORED)
    predicted = torch.ones((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        for j, (gold, found, kept) in enumerate(row):
            target[i, j] = gold if kept else IGNORED
            predicted[i, j] = found
    said = in_pieces(Tagging(BIO), one_hot(predicted, len(BIO)).float(), target, pieces)
    gold, found = (
        [[BIO[triple[which]] for triple in row if triple[2]] for row in rows if any(t[2] for t in row)]
        for which in (0, 1)
    )
    if not gold:
        assert said["f1"] == 0
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert said["f1"] == pytest.approx(seqeval_f1(gold, found))
    flat = [(g, f) for row in rows for g, f, kept in row if kept]
    assert said["accuracy"] == pytest.approx(np.mean([g == f for g, f in flat]))


def test_tags_that_are_not_bio_are_scored_by_token(literal):
    kind, rng = Tagging(("n", "v", "a")), np.random.default_rng(0)
    target, found = rng.integers(0, 3, (2, 8, 5))
    target[:, 3:] = IGNORED
    said = in_pieces(kind, one_hot(torch.from_numpy(found), 3).float(), torch.from_numpy(target), 3)
    kept = target != IGNORED
    assert said["f1"] == pytest.approx(f1_score(target[kept], found[kept], average="macro"))


def test_tagging_loss_is_the_mean_over_tokens_that_have_a_tag():
    outputs = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[2, IGNORED, 0], [1, IGNORED, IGNORED]])
    logs = outputs.log_softmax(-1)
    by_hand = -(logs[0, 0, 2] + logs[0, 2, 0] + logs[1, 0, 1]) / 3
    torch.testing.assert_close(Tagging(("a", "b", "c")).loss(outputs, target), by_hand)


@given(seeds, st.integers(2, 5), st.integers(1, 30), st.integers(1, 4))
def test_classification_is_scored_as_scikit_learn_does(seed, C, R, pieces):
    rng = np.random.default_rng(seed)
    outputs, targets = rng.normal(size=(R, C)).astype(np.float32), rng.integers(0, C, R)
    kind = Classification(tuple(map(str, range(C))))
    said = in_pieces(kind, torch.from_numpy(outputs), torch.from_numpy(targets), pieces)
    found = outputs.argmax(1)
    assert said["accuracy"] == pytest.approx(accuracy_score(targets, found))
    assert said["macro_f1"] == pytest.approx(f1_score(targets, found, average="macro", zero_division=0), abs=1e-6)
    probabilities = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    loss = kind.loss(torch.from_numpy(outputs), torch.from_numpy(targets))
    assert float(loss) == pytest.approx(log_loss(targets, probabilities, labels=range(C)), rel=1e-4)


@given(seeds, st.integers(2, 5), st.integers(1, 20), st.booleans())
def test_multilabel_outputs_are_logits_even_where_all_lie_in_the_unit_interval(seed, C, R, unit):
    rng = np.random.default_rng(seed)
    outputs = rng.uniform(0, 1, (R, C)) if unit else rng.normal(size=(R, C))
    outputs, targets = outputs.astype(np.float32), rng.integers(0, 2, (R, C))
    kind = MultiLabel(tuple(map(str, range(C))))
    said = in_pieces(kind, torch.from_numpy(outputs), torch.from_numpy(targets).float(), 1)
    found = (outputs > 0).astype(int)
    for average in ("micro", "macro"):
        expected = f1_score(targets, found, average=average, zero_division=0)
        assert said[f"{average}_f1"] == pytest.approx(expected, abs=1e-6)
    ranking = label_ranking_average_precision_score(targets, outputs)
    assert said["ranking_precision"] == pytest.approx(ranking, abs=1e-5)
    p = 1 / (1 + np.exp(-outputs.astype(float)))
    by_hand = -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p))
    assert float(kind.loss(torch.from_numpy(outputs), torch.from_numpy(targets).float())) == pytest.approx(
        by_hand, rel=1e-4
    )


@given(seeds, st.integers(3, 30), st.integers(1, 3))
def test_regression_is_scored_in_its_own_unit_and_trained_on_the_standardised_target(seed, R, pieces):
    rng = np.random.default_rng(seed)
    values = rng.normal(50, 20, R)
    kind = Regression.fit(values.tolist(), None)
    targets = torch.from_numpy(np.stack([kind.encode(value) for value in values]))
    outputs = torch.from_numpy(rng.normal(size=(R, 1)).astype(np.float32))
    assert float(targets.mean()) == pytest.approx(0, abs=1e-5)
    assert float(targets.std(correction=0)) == pytest.approx(1, abs=1e-5)
    found = outputs[:, 0].numpy() * values.std() + values.mean()
    said = in_pieces(kind, outputs, targets, pieces)
    assert said["rmse"] == pytest.approx(np.sqrt(np.mean((found - values) ** 2)), rel=1e-4)
    assert said["mae"] == pytest.approx(np.mean(np.abs(found - values)), rel=1e-4)
    assert said["pearson"] == pytest.approx(pearsonr(found, values)[0], abs=1e-3)
    by_hand = np.mean((outputs[:, 0].numpy() - (values - values.mean()) / values.std()) ** 2)
    assert float(kind.loss(outputs, targets)) == pytest.approx(by_hand, rel=1e-4)
    assert kind.words(targets[0]) == pytest.approx(values[0], rel=1e-4)


def test_a_target_that_never_changes_can_be_standardised():
    assert Regression.fit([3, 3, 3], None).encode(3) == 0


KINDS_AT_HAND = [
    (Classification(("a", "b", "c")), torch.tensor([0.0, 2.0, 1.0])),
    (MultiLabel(("a", "b", "c")), torch.tensor([-1.0, 2.0, 0.5])),
    (Regression(3.5, 2.0), torch.tensor([0.25])),
    (Tagging(BIO), torch.arange(15.0).reshape(3, 5).sin()),
]


def test_answers_say_what_the_outputs_mean():
    answers = [kind.answer(outputs) for kind, outputs in KINDS_AT_HAND]
    assert answers[0].value == "b"
    assert answers[0].probability == pytest.approx(np.exp(2) / (1 + np.exp(2) + np.exp(1)))
    assert answers[1].value == ["b", "c"]
    assert answers[1].probability == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-0.5))])
    assert answers[2].value == 4.0
    assert answers[2].probability is None
    assert answers[3].value == [BIO[int(i)] for i in np.sin(np.arange(15).reshape(3, 5)).argmax(1)]
    assert len(answers[3].probability) == 3


def test_every_kind_is_at_hand():
    assert [kind.name for kind, _ in KINDS_AT_HAND] == list(KINDS)


@pytest.mark.parametrize(("kind", "outputs"), KINDS_AT_HAND, ids=lambda value: getattr(value, "name", ""))
def test_a_task_comes_back_from_its_state_through_a_checkpoint(kind, outputs):
    task = Task("t", kind, ("k1", "k2"), "a{text}b", kind.primary)
    file = io.BytesIO()
    torch.save(task.state(), file)
    file.seek(0)
    back = Task.from_state(torch.load(file, weights_only=True))
    assert back == task
    assert back.kind.answer(outputs) == kind.answer(outputs)
    assert back.higher_is_better == (kind.name != "regression")


@pytest.mark.parametrize("name", ["classification", "multilabel", "tagging"])
def test_words_are_what_the_author_wrote(name):
    value = {"classification": "b", "multilabel": ["a", "c"], "tagging": ["c", "a", "a"]}[name]
    kind = KINDS[name](("a", "b", "c"))
    assert kind.words(torch.from_numpy(kind.encode(value))) == value


def test_labels_are_found_sorted_or_taken_in_the_declared_order():
    assert Classification.fit(["b", "c", "a", "b"], None).labels == ("a", "b", "c")
    assert Classification.fit(["b"], ["z", "b"]).labels == ("z", "b")
    assert MultiLabel.fit(["b|a", "", None, "c"], None).labels == ("a", "b", "c")
    assert Tagging.fit([["x", "y"], ["w"]], None).labels == ("w", "x", "y")


@pytest.mark.parametrize("labels", [["a"], ["a", "b", "a"]])
def test_labels_should_be_two_or_more_and_distinct(labels):
    with pytest.raises(ValueError, match="labels"):
        Classification.fit([], labels)
