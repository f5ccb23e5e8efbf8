"""Gradients that are only looked at: right, in time, and without a trace in the training."""

import pytest
import torch

from mtl.strategies.transform.log import Log
from mtl.strategies.weighting.equal import Equal
from mtl.training.dynamics import STEPS_A_TASK, Dynamics
from tests.training.test_gradients import TASKS, batch_of, model_of
from tests.training.test_step_options import grads, module, on_head, plain


def watched(**options):
    made = module(Equal(TASKS), **options)
    made.dynamics = Dynamics(made.model, "shared", len(TASKS), every=1, points=1)
    return made


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("transform", [None, Log(TASKS, eps=0)])
def test_the_gramian_is_that_of_the_whole_gradients(apart, transform):
    batch, made = batch_of(apart), watched(transform=transform)
    made.training_step(batch, 0)
    losses, rows, _ = plain(made.model, batch)
    rows = rows if transform is None else rows / losses[:, None]
    names, gramian = made.gramian
    assert names == list(batch.tasks)
    torch.testing.assert_close(gramian, rows @ rows.T)


def test_nobody_learns_of_it():
    """No plan that goes by gradients sees them, and the step's gradients are the same to the bit."""
    batch, one, other = batch_of(), watched(), module(Equal(TASKS))
    one.training_step(batch, 0).backward()
    other.training_step(batch, 0).backward()
    assert one.told.gramian is None
    assert torch.equal(grads(one), grads(other))
    for name in batch.tasks:
        assert all(map(torch.equal, on_head(one, name), on_head(other, name)))


@pytest.mark.parametrize(
    ("every", "points", "seen"), [(3, 1, [2, 5, 8, 11]), (3, 4, [3, 7, 11]), (0, 1, []), (5, 3, [5, 11])]
)
def test_looks_in_the_last_step_of_a_point(every, points, seen):
    dynamics = Dynamics(model_of("lstm"), "shared", len(TASKS), every, points)
    assert [step for step in range(12) if dynamics.due(step)] == seen


def test_by_default_the_more_tasks_the_less_often():
    model = model_of("lstm")
    assert [Dynamics(model, "shared", tasks, None, 7).every for tasks in (1, 2)] == [42, 84]
    assert STEPS_A_TASK == 40


def test_is_never_due_where_nothing_shared_trains_or_features_are_compared():
    frozen = model_of("lstm")
    frozen.trunk.requires_grad_(False)
    assert not Dynamics(frozen, "shared", 2, 1, 1).due(0)
    assert not Dynamics(model_of("lstm"), "features", 2, 1, 1).due(0)
    assert not Dynamics(model_of("lstm"), "prompt", 2, 1, 1).due(0)
