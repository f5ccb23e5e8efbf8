"""Which tasks a step sees."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mtl.strategies.switching.joint import Joint
from mtl.strategies.switching.proportional import Proportional
from mtl.strategies.switching.round_robin import RoundRobin
from mtl.strategies.switching.single import Single

SIZES = {"a": 10, "b": 30, "c": 60}
sizes = st.lists(st.integers(1, 5000), min_size=1, max_size=9).map(
    lambda found: dict(zip("abcdefghi", found, strict=False))
)


def order(switching, steps):
    return [next(iter(switching.rows(step))) for step in range(steps)]


def test_joint_asks_every_task_in_the_order_of_the_run():
    assert list(Joint(SIZES, 8).rows(5).items()) == [("a", 8), ("b", 8), ("c", 8)]


def test_round_robin_asks_one_task_in_turn():
    assert [RoundRobin(SIZES, 8).rows(step) for step in range(4)] == [{"a": 8}, {"b": 8}, {"c": 8}, {"a": 8}]


def test_single_asks_one_task_for_ever():
    assert [Single(SIZES, 8, task="b").rows(step) for step in range(2)] == [{"b": 8}, {"b": 8}]
    assert Single({"a": 3}, 8).rows(0) == {"a": 8}


@given(sizes, st.integers(1, 30), st.integers(1, 12), st.integers(0, 3))
@example({"a": 10, "b": 1000, "c": 100, "d": 1000}, 1, 150, 0)  # the furthest-behind rule strays by 1.02 here
@example(dict(zip("abcdefghij", [2, 10, 1000, 10, 1000, 100, 10, 100, 1000, 10], strict=True)), 1, 150, 0)
def test_counts_are_within_one_step_of_their_share_after_any_number_of_blocks(found, block, blocks, seed):
    switching, counts = Proportional(found, 4, seed, block), Counter()
    for step in range(block * blocks):
        counts.update(list(switching.rows(step)))
        if (step + 1) % block == 0:
            for name, size in found.items():
                assert abs(counts[name] - Fraction((step + 1) * size, sum(found.values()))) < 1


def test_a_block_that_can_be_exact_is():
    assert Counter(order(Proportional(SIZES, 4, block=10), 10)) == {"a": 1, "b": 3, "c": 6}


@given(sizes, st.integers(1, 20), st.integers(0, 5), st.lists(st.integers(0, 200), min_size=1, max_size=15))
def test_proportional_is_a_function_of_seed_and_step_in_whatever_order_it_is_asked(found, block, seed, steps):
    asked = Proportional(found, 4, seed, block)
    for step in steps:
        assert asked.rows(step) == Proportional(found, 4, seed, block).rows(step)


def test_proportional_is_shuffled_by_its_seed_and_anew_in_each_block():
    made = order(Proportional(SIZES, 4, seed=0), 200)
    assert made != order(Proportional(SIZES, 4, seed=1), 200)
    assert made[:100] != made[100:]
    assert sorted(made[:100]) == sorted(made[100:])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Joint(SIZES, 0), "`batch_size` should be at least 1. Found 0"),
        (lambda: Proportional(SIZES, 4, block=0), "`block` should be at least 1. Found 0"),
        (lambda: Single(SIZES, 4), "`task` should say which of a, b, c is trained alone"),
        (lambda: Single(SIZES, 4, task="z"), "`task` should be a task of the run: a, b, c. Found 'z'"),
    ],
)
def test_a_wrong_option_stops_at_the_constructor(make, message):
    with pytest.raises(ValueError, match=message):
        make()
