"""Every transform of conf/transform, by autograd, by hand and through a checkpoint."""

import importlib
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mtl.strategies.transform.log import Log
from mtl.strategies.transform.scale_invariant import ScaleInvariant
from mtl.strategies.transform.zscore import InitialUnits

CONF = Path(__file__).parents[2] / "conf" / "transform"
TASKS = {"a": "classification", "b": "regression", "c": "tagging"}
ALL = torch.arange(3)
positive = st.lists(st.floats(0.01, 100), min_size=3, max_size=3).map(torch.tensor)


def made(name):
    options = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    module, cls = options.pop("_target_").rsplit(".", 1)
    return getattr(importlib.import_module(module), cls)(TASKS, **options)


NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))


@pytest.mark.oracle("finite differences")
@pytest.mark.parametrize("name", NAMES)
@given(losses=positive)
def test_slopes_are_those_of_finite_differences_and_each_loss_has_its_own(name, losses):
    losses = losses.double()
    transform = made(name)
    values, slopes = transform.slopes(ALL, losses)
    jacobian = torch.autograd.functional.jacobian(lambda at: made_again(transform)(ALL, at), losses)
    torch.testing.assert_close(torch.diag(slopes).to(jacobian), jacobian)
    assert values.shape == slopes.shape == (3,)
    assert (slopes > 0).all()


def made_again(transform):
    """The same state, so that looking twice at a step counts it once."""
    import copy

    return copy.deepcopy(transform)


@given(losses=positive)
def test_log_and_scale_invariant_have_the_gradient_of_the_logarithm(losses):
    for transform in (Log(TASKS, eps=0), ScaleInvariant(TASKS)):
        torch.testing.assert_close(transform.slopes(ALL, losses)[1], 1 / losses)
    torch.testing.assert_close(Log(TASKS, eps=0).slopes(ALL, losses)[0], losses.log())
    torch.testing.assert_close(ScaleInvariant(TASKS).slopes(ALL, losses)[0], torch.ones(3))


@pytest.mark.parametrize("name", ["log", "zscore", "scale_invariant"])
@given(losses=positive, factors=positive)
def test_the_weighted_gradient_does_not_depend_on_a_tasks_unit(name, losses, factors):
    plain, scaled = made(name), made(name)
    for step in range(3):
        one = plain.slopes(ALL, losses / (1 + step))[1]
        other = scaled.slopes(ALL, factors * losses / (1 + step))[1]
        torch.testing.assert_close(one, factors * other, rtol=1e-3, atol=1e-6)


def test_zscore_divides_by_the_mean_of_the_first_steps_each_task_has():
    transform = InitialUnits(TASKS, steps=2)
    seen = [
        transform.slopes(torch.tensor([0, 1]), torch.tensor([4.0, 1.0]))[0],
        transform.slopes(torch.tensor([0]), torch.tensor([2.0]))[0],
        transform.slopes(ALL, torch.tensor([3.0, 3.0, 5.0]))[0],
        transform.slopes(ALL, torch.tensor([6.0, 4.0, 15.0]))[0],
    ]
    assert [values.tolist() for values in seen] == [
        [1, 1],
        [pytest.approx(2 / 3)],
        [1, 1.5, 1],
        [2, 2, 1.5],
    ]


def test_zscore_does_not_begin_with_a_loss_that_is_not_finite():
    transform = InitialUnits(TASKS)
    assert transform.slopes(ALL, torch.tensor([torch.nan, 1.0, 1.0]))[0].isnan().tolist() == [True, False, False]
    assert transform.slopes(ALL, torch.tensor([2.0, 1.0, 1.0]))[0].tolist() == [1, 1, 1]
    assert transform.slopes(ALL, torch.tensor([4.0, 1.0, 1.0]))[0].tolist() == [2, 1, 1]


@pytest.mark.parametrize("name", ["log", "scale_invariant", "zscore"])
def test_a_loss_below_zero_has_no_value(name):
    values, _ = made(name).slopes(ALL, torch.tensor([1.0, -2.0, 1.0]))
    assert values.isfinite().tolist() == [True, False, True]


def test_the_beginning_survives_a_checkpoint():
    first, second = InitialUnits(TASKS), InitialUnits(TASKS)
    first.slopes(ALL, torch.tensor([4.0, 1.0, 2.0]))
    second.load_state_dict(first.state_dict(), strict=True)
    assert second.slopes(ALL, torch.tensor([2.0, 2.0, 2.0]))[0].tolist() == [0.5, 2, 1]


@pytest.mark.parametrize(
    ("make", "word"), [(lambda: Log(TASKS, eps=-1), "eps"), (lambda: InitialUnits(TASKS, 0), "steps")]
)
def test_stops_at_a_wrong_option(make, word):
    with pytest.raises(ValueError, match=word):
        make()
