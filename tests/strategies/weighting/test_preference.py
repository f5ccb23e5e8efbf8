"""Weightings that hear a preference: where it leads, and what is not one."""

import pytest
import torch

from mtl.errors import MtlError
from mtl.strategies.weighting.base import Signals
from mtl.strategies.weighting.epo import EPO
from mtl.strategies.weighting.linear import Linear
from mtl.strategies.weighting.stch import SmoothTchebycheff
from mtl.strategies.weighting.tchebycheff import Tchebycheff
from mtl.training.soundness import usable

TASKS = {"a": "regression", "b": "tagging", "c": "classification"}
HEAR = [EPO, Linear, Tchebycheff, SmoothTchebycheff]


def step(losses, tasks=None, gramian=None):
    places = torch.tensor(range(len(losses)) if tasks is None else tasks)
    return Signals(places, torch.tensor(losses), gramian=torch.eye(len(losses)) if gramian is None else gramian)


@pytest.mark.parametrize("cls", HEAR)
@pytest.mark.parametrize(
    ("preference", "message"),
    [
        ([0.9, 0.9, 0.0], r"`preference` should come to 1 over the tasks. Found 1.8: \[0.9, 0.9, 0.0\]"),
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


def test_epo_weighs_the_task_that_is_behind_its_preference():
    weighting = EPO(TASKS, [0.5, 0.2, 0.3])
    assert weighting(step([1.0, 2.4, 1.5])).tolist() == pytest.approx([1, 0, 0], abs=1e-6)
    assert weighting(step([1.0, 2.6, 1.5])).tolist() == pytest.approx([0, 1, 0], abs=1e-6)
    # of two tasks their part: 0.4 to 0.6
    assert weighting(step([2.9, 2.0], [1, 2])).tolist() == pytest.approx([0, 1], abs=1e-6)


def test_epo_takes_its_preference_where_there_is_no_solution_and_counts_it():
    weighting = EPO(TASKS, [0.5, 0.2, 0.3])
    with pytest.warns(UserWarning, match="EPO found no weights in a step and took its preference"):
        found = weighting(step([1.0, 1.0], [2, 0], torch.full((2, 2), torch.nan)))
    assert found.tolist() == pytest.approx([0.375, 0.625])
    assert weighting.fallbacks == 1


def test_epo_names_the_task_whose_loss_is_below_zero_or_whose_preference_is():
    now = step([1.0, -2.0, 1.0])
    with pytest.raises(MtlError, match=r"EPO has no finite weight for task b in step 0. .* b -2"):
        usable(EPO(TASKS)(now), now, list(TASKS), "EPO")
    with pytest.raises(ValueError, match=r"above 0 for every task under EPO. Found 0 for task 'c'"):
        EPO(TASKS, [0.5, 0.5, 0.0])
    with pytest.raises(ValueError, match=r"`tolerance` should be positive. Found 0"):
        EPO(TASKS, tolerance=0)
