"""From a task's YAML fields to targets, and what is said of a broken one."""

import numpy as np
import pytest

from mtl.data.task import TaskSpec
from mtl.errors import MtlError

TEXTS = [f"text {i}" for i in range(6)]
SOUND = ["good", "bad", "good", "bad", "good", "bad"]


def test_targets_are_positions_and_rows_are_those_of_each_split(literal):
    loaded = TaskSpec("t", "classification", literal(TEXTS, label=SOUND)).load()
    assert loaded.task.kind.labels == ("bad", "good")
    assert [int(target) for target in loaded.targets] == [1, 0, 1, 0, 1, 0]
    assert {split: rows.tolist() for split, rows in loaded.rows.items()} == {
        "train": [0, 1, 2, 3],
        "val": [4],
        "test": [5],
    }
    assert loaded.task.metric == "accuracy"


def test_a_label_that_is_not_declared_is_named_with_file_line_field_and_what_is_allowed(literal):
    source = literal(TEXTS, mood=["good", "awful", *SOUND[2:]])
    with pytest.raises(MtlError) as caught:
        TaskSpec("t", "classification", source, label="mood", labels=["good", "bad"]).load()
    for part in ("task t", "a.csv, line 3", "'mood'", "'awful'", "good or bad", "on_error=skip"):
        assert part in str(caught.value)


def test_a_label_that_only_stands_outside_the_training_split_is_refused(literal):
    with pytest.raises(MtlError, match=r"line 7: .*'new'.*allowed: bad or good"):
        TaskSpec("t", "classification", literal(TEXTS, label=[*SOUND[:5], "new"])).load()


BROKEN = {
    "classification": (["good", "awful", "bad", "good", "", "good", "bad"], ["good", "bad"], "'awful'"),
    "multilabel": (["a", "a|z", "b", "", "a|y", "a", "b"], ["a", "b"], "'z'"),
    "regression": (["1", "many", "2", "3", None, "4", "5"], None, "'many'"),
    "tagging": ([["a"], ["a", "b"], ["b"], ["a"], None, ["b"], ["a"]], None, "2 tags for 1 tokens"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_labels_stop_with_their_line_or_are_skipped_and_counted(kind, literal):
    values, labels, found = BROKEN[kind]
    texts = [[token] for token in "甲乙丙丁戊己庚"] if kind == "tagging" else [*TEXTS, "text 6"]
    options = {"source": literal(texts, label=values), "labels": labels}
    with pytest.raises(MtlError, match=rf"a\.csv, line 3: field 'label': .*{found}"):
        TaskSpec("t", kind, **options).load()
    loaded = TaskSpec("t", kind, **options, on_error="skip").load()
    assert [message.split(":")[0] for message in loaded.skipped] == ["a.csv, line 3", "a.csv, line 6"]
    assert loaded.rows["train"].tolist() == [0, 2, 3]
    assert loaded.targets[1] is None


def test_regression_is_standardised_by_the_training_split_alone(literal):
    kind = TaskSpec("t", "regression", literal(TEXTS, label=[1, 2, 3, 6, 900, -900])).load().task.kind
    assert (kind.mean, kind.std) == (3, pytest.approx(np.sqrt((4 + 1 + 0 + 9) / 4)))


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("classification", [1, 0, 1, 0, 1, 0], ["neg", "pos"]),
        ("multilabel", ["1|0", "1", "0", "", "1", "0"], ["neg", "pos"]),
        ("tagging", [["1", "0"], ["0", "0"]] * 3, ["neg", "pos"]),
    ],
)
def test_labels_as_a_mapping_rename_the_raw_values(kind, values, expected, literal):
    texts = [list("甲乙")] * 6 if kind == "tagging" else TEXTS
    loaded = TaskSpec("t", kind, literal(texts, label=values), labels={"0": "neg", "1": "pos"}).load()
    assert list(loaded.task.kind.labels) == expected
    first = {"classification": 1, "multilabel": [1, 1], "tagging": [1, 0]}[kind]
    assert loaded.targets[0].tolist() == first


def test_an_unknown_label_field_lists_the_fields(literal):
    with pytest.raises(MtlError, match=r"a\.csv: mood or stars\. Found 'label'"):
        TaskSpec("t", "classification", literal(TEXTS, mood=SOUND, stars=SOUND)).load()


def test_a_wrong_metric_lists_the_metrics(literal):
    with pytest.raises(MtlError, match=r"task t: metric should be accuracy or macro_f1\. Found 'f2'"):
        TaskSpec("t", "classification", literal(TEXTS, label=SOUND), metric="f2").load()


def test_the_metric_may_be_another_than_the_kinds(literal):
    source = literal(TEXTS, label=[1, 2, 3, 4, 5, 6])
    assert TaskSpec("t", "regression", source, metric="pearson").load().task.higher_is_better
    assert not TaskSpec("t", "regression", source).load().task.higher_is_better


def test_a_split_without_labels_is_named(literal):
    source = literal(TEXTS, label=[*SOUND[:4], None, "bad"])
    with pytest.raises(MtlError, match="the val split has no rows with a label in 'label'"):
        TaskSpec("t", "classification", source, on_error="skip").load()


def test_tagging_needs_rows_that_are_lists_of_tokens(literal):
    with pytest.raises(MtlError, match=r"tagging needs lists of tokens. Field 'text' holds texts"):
        TaskSpec("t", "tagging", literal(TEXTS, label=[["a", "b"]] * 6)).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "sorting"}, "kind should be classification, multilabel, regression or tagging. Found 'sorting'"),
        ({"on_error": "ignore"}, "on_error should be stop or skip. Found 'ignore'"),
        ({"phrase": "no slot"}, "slot {text} once. Found 'no slot'"),
        ({"phrase": "{text}{text}"}, "slot {text} once"),
        ({"keywords": "情感"}, "keywords should be a list. Found '情感'"),
        ({"labels": "好坏"}, "labels should be a list. Found '好坏'"),
    ],
)
def test_a_wrong_field_says_what_is_allowed(options, message, literal):
    with pytest.raises(MtlError) as caught:
        TaskSpec(**{"name": "t", "kind": "classification", "source": literal(TEXTS, label=SOUND), **options})
    assert message in str(caught.value)
