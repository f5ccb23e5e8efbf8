"""Reduction and interval, with every weighting there is."""

import warnings

import pytest
import torch

from mtl.strategies.weighting.adjusted import Adjusted, adjusted
from mtl.strategies.weighting.base import Signals
from mtl.strategies.weighting.equal import Equal
from mtl.strategies.weighting.fairgrad import FairGrad
from mtl.strategies.weighting.fixed import Fixed
from mtl.strategies.weighting.imtl import IMTL
from mtl.strategies.weighting.imtl_g import IMTLG
from mtl.strategies.weighting.mgda import MGDA
from mtl.strategies.weighting.nash_mtl import NashMTL
from mtl.strategies.weighting.pcgrad import PCGrad
from mtl.strategies.weighting.uncertainty import Uncertainty
from mtl.strategies.weighting.upgrad import UPGrad

TWO = {"a": "classification", "b": "classification"}
FOUR = TWO | {"c": "classification", "d": "classification"}
OPPOSITE = torch.tensor([[1.0, -2.0], [-2.0, 4.0]])


def step(losses, gramian=None, number=0, tasks=None):
    losses = torch.as_tensor(losses)
    return Signals(torch.arange(len(losses)) if tasks is None else torch.tensor(tasks), losses, number, 100, 0, gramian)


@pytest.mark.parametrize("tasks", [[0, 1, 2, 3], [2, 0], [1]])
@pytest.mark.parametrize("cls", [Equal, Fixed, MGDA, UPGrad, PCGrad, NashMTL, FairGrad, IMTLG, Uncertainty])
def test_alike_tasks_come_to_their_number_or_to_1(cls, tasks):
    """On gradients at right angles of length 1, and for the mean of fixed weights all tasks present."""
    if cls is Fixed and len(tasks) < 4:
        pytest.skip("fixed weights differ from task to task")
    now = step(torch.ones(len(tasks)), torch.eye(len(tasks)), tasks=tasks)
    for reduction, total in (("sum", len(tasks)), ("mean", 1)):
        assert adjusted(cls(FOUR), reduction)(now).sum().item() == pytest.approx(total)


def test_fixed_weights_keep_their_proportions():
    weights = adjusted(Fixed(TWO, [1.0, 3.0]), "mean")(step([1.0, 1.0]))
    assert weights.tolist() == pytest.approx([0.25, 0.75])


def test_as_published_is_the_weighting_itself(make):
    weighting = make(make.num_tasks or 4)
    assert adjusted(weighting) is weighting


def test_a_reduction_changes_no_direction(make, signals):
    T = make.num_tasks or 4
    torch.manual_seed(0)
    plain = make(T)
    torch.manual_seed(0)
    scaled = Adjusted(make(T), "sum")
    for number in range(4):
        now = signals(range(T), step=number)
        one, other = plain(now).detach(), scaled(now).detach()
        torch.testing.assert_close(other, one * T / plain.total(T))
    assert scaled.fallbacks == plain.fallbacks


def test_own_parameters_learn_as_published_whatever_the_reduction():
    plain, scaled = Uncertainty(TWO), Uncertainty(TWO)
    wrapped = adjusted(scaled, "mean")
    now = step([2.0, 3.0])
    for weighting in (plain, wrapped):
        ((weighting(now) * now.losses).sum() + weighting.penalty(now)).backward()
    assert wrapped(now).tolist() == [0.5, 0.5]
    assert [p.grad for p in scaled.parameters()] == [p.grad for p in plain.parameters()]
    assert wrapped.learning_rate == plain.learning_rate
    assert [id(p) for p in wrapped.parameters()] == [id(p) for p in scaled.parameters()]


def test_holds_weights_between_and_asks_for_no_gramian(make_on_gramian, signals):
    T = make_on_gramian.num_tasks or 4
    weighting = Adjusted(make_on_gramian(T), every=3)
    assert [weighting.wants_gramian(number) for number in range(7)] == [True, False, False, True, False, False, True]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = weighting(signals(range(T), step=0)).detach()
        for number in (1, 2):
            blind = Signals(torch.arange(T), torch.ones(T), number, 20, 0, None)
            torch.testing.assert_close(weighting(blind).detach(), found)
        some = Signals(torch.arange(T)[:1], torch.ones(1), 2, 20, 0, None)
        torch.testing.assert_close(weighting(some).detach(), found[:1])


def test_held_weights_survive_a_checkpoint(signals):
    first, second = Adjusted(MGDA(FOUR), every=5), Adjusted(MGDA(FOUR), every=5)
    found = first(signals(range(4), step=0))
    second.load_state_dict(first.state_dict(), strict=True)
    torch.testing.assert_close(second(signals(range(4), step=1)), found)


def test_an_interval_changes_nothing_for_a_weighting_of_losses():
    weighting = Adjusted(Uncertainty(TWO), every=10)
    with torch.no_grad():
        weighting.inner.log_variances[0].fill_(1.0)
    first = weighting(step([1.0, 1.0], number=3))
    with torch.no_grad():
        weighting.inner.log_variances[0].fill_(2.0)
    assert weighting(step([1.0, 1.0], number=4))[0] < first[0]


@pytest.mark.parametrize("wrong", [{"reduction": "max"}, {"every": 0}])
def test_stops_at_a_wrong_option(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Adjusted(Equal(TWO), **wrong)


# where there is no solution


@pytest.mark.parametrize("cls", [NashMTL, FairGrad, IMTLG, IMTL])
def test_the_last_solution_stays_where_gradients_are_opposite(cls):
    """As in the authors' code of Nash-MTL: equal weights would drag the parameters along the front."""
    weighting = cls(TWO)
    with pytest.warns(UserWarning, match="found no weights"):
        first = weighting(step([1.0, 1.0], OPPOSITE))
    assert first[0] == first[1]
    good = weighting(step([1.0, 1.0], torch.tensor([[1.0, 0.2], [0.2, 4.0]]), 1))
    assert good[0] != good[1]
    torch.testing.assert_close(weighting(step([1.0, 1.0], OPPOSITE, 2)), good)
    assert weighting.fallbacks == 2
    again = cls(TWO)
    again.load_state_dict(weighting.state_dict(), strict=True)
    torch.testing.assert_close(again(step([1.0, 1.0], OPPOSITE, 3)), good)


def test_a_task_without_a_last_solution_makes_all_equal():
    weighting = NashMTL(FOUR)
    weighting(step([1.0, 1.0], torch.tensor([[1.0, 0.0], [0.0, 4.0]]), tasks=[0, 1]))
    with pytest.warns(UserWarning, match="found no weights"):
        assert weighting(step([1.0, 1.0], OPPOSITE, tasks=[1, 2])).tolist() == [1, 1]
    assert weighting(step([1.0, 1.0], OPPOSITE, tasks=[0, 1])).tolist() == [1, 0.5]
