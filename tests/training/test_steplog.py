"""Means of losses and weights between two records."""

import math
from collections import defaultdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.training.steplog import StepLog

TASKS = ("a", "b", "c")
steps = st.lists(
    st.dictionaries(st.sampled_from(TASKS), st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1),
    min_size=1,
    max_size=6,
)


def feed(log, step, rows=2):
    names = [name for name in TASKS if name in step]
    log.add(dict.fromkeys(names, rows), *(torch.tensor([step[name][i] for name in names]) for i in (0, 1)))


@given(st.lists(steps, min_size=1, max_size=3))
def test_means_are_over_the_steps_a_task_took_part_in_since_the_last_record(records):
    log = StepLog(TASKS, capacity=6)
    for record in records:
        kept = defaultdict(list)
        for step in record:
            feed(log, step)
            for name, pair in step.items():
                kept[name].append(pair)
        found = log.take()
        assert set(found) == set(kept)
        for name, pairs in kept.items():
            assert found[name] == pytest.approx(
                [sum(column) / len(pairs) for column in zip(*pairs, strict=True)], abs=1e-5
            )
    assert log.take() == {}


def test_a_loss_that_is_not_a_number_shows():
    log = StepLog(TASKS, capacity=4)
    feed(log, {"a": (1.0, 0.5), "b": (1.0, 0.5)})
    feed(log, {"a": (math.nan, 0.5), "b": (3.0, 0.5)})
    found = log.take()
    assert math.isnan(found["a"][0])
    assert found["b"] == (2, 0.5)


def test_losses_of_half_precision_are_kept():
    log = StepLog(["a"])
    log.add({"a": 1}, torch.tensor([0.5], dtype=torch.bfloat16), torch.ones(1))
    assert log.take() == {"a": (0.5, 1)}


def test_rows_are_counted_over_the_whole_run():
    log = StepLog(TASKS, capacity=2)
    for rows in (3, 4, 5):
        feed(log, {"a": (1.0, 1.0)}, rows)
    log.take()
    assert log.rows == {"a": 12, "b": 0, "c": 0}


def test_says_when_it_is_full_and_begins_anew_where_nobody_took():
    log = StepLog(TASKS, capacity=2)
    full = []
    for loss in (1.0, 2.0, 5.0):
        feed(log, {"a": (loss, 1.0)})
        full.append(log.full)
    assert full == [False, True, False]
    assert log.take() == {"a": (5, 1)}
