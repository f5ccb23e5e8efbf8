"""Weightings that hear a preference: where it leads, and what is not one."""

import pytest
import torch

from mtl.strategies.weighting.base import Signals
from mtl.strategies.weighting.linear import Linear
from mtl.strategies.weighting.stch import SmoothTchebycheff
from mtl.strategies.weighting.tchebycheff import Tchebycheff

TASKS = {"a": "regression", "b": "tagging", "c": "classification"}
HEAR = [Linear, Tchebycheff, SmoothTchebycheff]


def step(losses, tasks=None):
    return Signals(torch.tensor(range(len(losses)) if tasks is None else tasks), torch.tensor(losses))


@pytest.mark.parametrize("cls", HEAR)
@pytest.mark.parametrize(
    ("preference", "message"),
    [
        ([0.5, 0.5, 0.5], r"`preference` should come to 1 over the tasks. Found 1.5: \[0.5, 0.5, 0.5\]"),
        ([0.5, 0.5], r"`preference` should be one number a task \(a, b, c\). Found 2 for 3"),
        ([1.5, -0.5, 0.0], "`preference` should be finite and not negative. Found -0.5 for task 'b'"),
        ({"a": 0.5, "z": 0.5}, "`preference` should name tasks of the run: a, b, c. Found 'z'"),
        ({"a": 0.5, "b": 0.5}, "`preference` should name every task of the run. Missing: c"),
    ],
)
def test_what_is_not_on_the_simplex_is_no_preference(cls, preference, message):
    with pytest.raises(ValueError, match=message):
        cls(TASKS, preference=preference)


@pytest.mark.parametrize("cls", HEAR)
def test_no_preference_is_an_equal_one_and_a_name_stands_for_its_place(cls):
    now = step([0.7, 2.0, 1.1])
    third = 1 / 3
    torch.testing.assert_close(cls(TASKS)(now), cls(TASKS, preference=[third, third, third])(now))
    by_name = cls(TASKS, preference={"c": 0.2, "a": 0.7, "b": 0.1})
    torch.testing.assert_close(by_name(now), cls(TASKS, preference=[0.7, 0.1, 0.2])(now))


def test_linear_weights_are_the_preference_in_every_step():
    weighting = Linear(TASKS, [0.7, 0.1, 0.2])
    assert weighting(step([5.0, 1.0, 0.0])).tolist() == pytest.approx([0.7, 0.1, 0.2])
    assert weighting(step([1.0, 9.0], [2, 0])).tolist() == pytest.approx([0.2, 0.7])


def test_tchebycheff_weighs_the_task_that_is_worst_in_units_of_its_preference():
    weighting = Tchebycheff(TASKS, [0.5, 0.2, 0.3])
    assert weighting(step([1.0, 2.4, 1.5])).tolist() == pytest.approx([1.5, 0, 0])
    assert weighting(step([1.0, 2.6, 1.5])).tolist() == pytest.approx([0, 0.6, 0])
    plain = SmoothTchebycheff(TASKS, mu=1e-3, form="plain", preference=[0.5, 0.2, 0.3])
    torch.testing.assert_close(plain(step([1.0, 2.6, 1.5])), weighting(step([1.0, 2.6, 1.5])))
