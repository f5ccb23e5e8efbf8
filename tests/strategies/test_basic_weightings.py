"""Equal, fixed, scheduled and uncertainty weighting by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.strategies.weighting.base import Signals
from mtl.strategies.weighting.equal import Equal
from mtl.strategies.weighting.fixed import Fixed
from mtl.strategies.weighting.scheduled import Scheduled
from mtl.strategies.weighting.uncertainty import Uncertainty

TASKS = {"a": "classification", "b": "regression", "c": "tagging"}
TWO = {"a": "classification", "b": "classification"}


def signals(losses=(1.0, 2.0, 3.0), tasks=None, step=0, total_steps=1):
    places = torch.tensor(range(len(losses)) if tasks is None else tasks)
    return Signals(places, torch.tensor(losses), step, total_steps)


def said(weighting, **given):
    return weighting(signals(**given)).tolist()


def test_equal_is_one_over_the_tasks_of_the_run():
    assert said(Equal(TASKS)) == pytest.approx([1 / 3] * 3)
    assert said(Equal(TASKS), losses=[5.0], tasks=[1]) == pytest.approx([1 / 3])


def test_fixed_weights_are_those_given_by_name_or_in_order():
    by_name, by_order = Fixed(TASKS, {"c": 3, "a": 1, "b": 0.5}), Fixed(TASKS, [1, 0.5, 3])
    for weighting in (by_name, by_order):
        assert said(weighting) == [1, 0.5, 3]
        assert said(weighting, losses=[9.0, 9.0], tasks=[2, 0]) == [3, 1]


def test_by_default_the_first_task_leads():
    assert said(Fixed(TWO), losses=[1.0, 1.0]) == pytest.approx([0.8, 0.2])
    assert said(Fixed(TASKS, lead=0.5)) == pytest.approx([0.5, 0.25, 0.25])
    assert said(Fixed({"a": "tagging"}), losses=[1.0]) == [1]


NAN = float("nan")
WRONG = [
    ({"a": 1, "b": 1, "c": 1, "z": 1}, "name tasks of the run: a, b, c. Found 'z'"),
    ({"a": 1, "b": 1}, "Missing: c"),
    ([1, 2], r"one number a task \(a, b, c\). Found 2 for 3"),
    ([1, -1, 1], "finite and not negative. Found -1 for task 'b'"),
    ([1, 1, NAN], "finite and not negative. Found nan for task 'c'"),
    ([1, math.inf, 1], "finite and not negative. Found inf for task 'b'"),
    ([0, 0, 0], "one above zero"),
]


@pytest.mark.parametrize(("weights", "message"), WRONG, ids=str)
def test_wrong_weights_stop_at_the_constructor(weights, message):
    with pytest.raises(ValueError, match=message):
        Fixed(TASKS, weights)
    with pytest.raises(ValueError, match=message):
        Scheduled(TASKS, [[1, 1, 1], weights])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fixed(TASKS, lead=1.5), "`lead` should be from 0 to 1. Found 1.5"),
        (lambda: Scheduled(TASKS, [[1, 1, 1]]), "`points` should be two weight vectors or more. Found 1"),
        (lambda: Scheduled(TASKS, shape="zigzag"), "`shape` should be step, linear, cosine, cyclic. Found 'zigzag'"),
        (lambda: Scheduled(TASKS, cycles=0), "`cycles` should be positive. Found 0"),
        (lambda: Uncertainty(TASKS, learning_rate=0), "`learning_rate` should be positive. Found 0"),
    ],
)
def test_a_wrong_option_stops_at_the_constructor(make, message):
    with pytest.raises(ValueError, match=message):
        make()


POINTS = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.4]]
QUARTER = (1 - math.cos(math.pi / 4)) / 2
"""Of the cosine's way after a quarter of its time."""


@pytest.mark.parametrize(
    ("shape", "at"),
    [
        ("step", {0: [1, 0], 39: [1, 0], 41: [0, 1], 79: [0, 1], 81: [0.6, 0.4], 120: [0.6, 0.4]}),
        ("linear", {0: [1, 0], 15: [0.75, 0.25], 30: [0.5, 0.5], 60: [0, 1], 90: [0.3, 0.7], 120: [0.6, 0.4]}),
        (
            "cosine",
            {0: [1, 0], 15: [1 - QUARTER, QUARTER], 30: [0.5, 0.5], 60: [0, 1], 90: [0.3, 0.7], 120: [0.6, 0.4]},
        ),
        ("cyclic", {0: [1, 0], 30: [0, 1], 60: [0.6, 0.4], 90: [0, 1], 105: [0.5, 0.5], 120: [1, 0]}),
    ],
)
def test_paths_go_through_their_points(shape, at):
    weighting = Scheduled(TWO, POINTS, shape)
    for step, expected in at.items():
        assert said(weighting, losses=[1.0, 1.0], step=step, total_steps=121) == pytest.approx(expected, abs=1e-6)
    assert said(weighting, losses=[1.0], tasks=[1], step=0, total_steps=121) == [0]


def test_cycles_go_there_and_back():
    twice, half = Scheduled(TWO, cycles=2), Scheduled(TWO, cycles=0.5)
    lead, other = pytest.approx([0.8, 0.2]), pytest.approx([0.2, 0.8])
    now = {"losses": [1.0, 1.0], "total_steps": 101}
    assert [said(twice, step=step, **now) for step in (0, 25, 50, 75, 100)] == [lead, other, lead, other, lead]
    assert [said(half, step=step, **now) for step in (0, 50, 100)] == [lead, pytest.approx([0.5, 0.5]), other]


@given(st.integers(1, 6), st.integers(1, 20), st.data())
def test_each_point_of_a_step_path_holds_for_an_equal_part_of_the_run(num_points, each, data):
    tasks = {str(i): "tagging" for i in range(num_points)} if num_points > 1 else TWO
    weighting, M = Scheduled(tasks, shape="step", lead=1.0), len(tasks)
    step = data.draw(st.integers(0, M * each - 1))
    weights = said(weighting, losses=[1.0] * M, step=step, total_steps=M * each)
    assert weights == [float(step // each == i) for i in range(M)]


@given(st.sampled_from(["step", "linear", "cosine", "cyclic"]), st.integers(0, 99), st.floats(0.1, 5))
def test_weights_of_a_path_stay_between_their_points(shape, step, cycles):
    weights = said(Scheduled(TASKS, shape=shape, cycles=cycles), step=step, total_steps=100)
    assert sum(weights) == pytest.approx(1)
    assert all(0.1 - 1e-6 <= weight <= 0.8 + 1e-6 for weight in weights)


def test_a_run_that_goes_on_past_its_end_or_has_one_step_keeps_a_weight():
    assert said(Scheduled(TWO, shape="linear"), losses=[1.0, 1.0], step=9, total_steps=5) == pytest.approx([0.2, 0.8])
    assert said(Scheduled(TWO, shape="linear"), losses=[1.0, 1.0], total_steps=1) == pytest.approx([0.8, 0.2])


def total(weighting, given):
    return (weighting(given) * given.losses).sum() + weighting.penalty(given)


def set_to(weighting, values):
    with torch.no_grad():
        for parameter, value in zip(weighting.parameters(), values, strict=True):
            parameter.fill_(value)


values = st.lists(st.floats(-2, 2), min_size=3, max_size=3)


@pytest.mark.oracle("autograd")
@given(values, st.lists(st.floats(0.01, 10), min_size=3, max_size=3))
def test_uncertainty_and_its_gradient_are_those_of_the_formula(sigmas, losses):
    """Kendall et al. 2018, equations 7 and 10: L/(2 sigma^2) + ln sigma for squares, else L/sigma^2 + ln sigma."""
    weighting, given = Uncertainty(TASKS), signals(losses)
    set_to(weighting, sigmas)
    s = torch.tensor(sigmas, requires_grad=True)
    sigma = (s / 2).exp()
    formula = sum(
        loss / ((2 if kind == "regression" else 1) * sigma[i] ** 2) + sigma[i].log()
        for i, (loss, kind) in enumerate(zip(losses, TASKS.values(), strict=True))
    )
    ours = total(weighting, given)
    torch.testing.assert_close(ours, formula)
    ours.backward()
    formula.backward()
    torch.testing.assert_close(torch.stack([p.grad for p in weighting.parameters()]), s.grad)


@given(st.floats(0.05, 20))
def test_the_best_variance_is_twice_the_loss_and_for_squared_errors_the_loss(loss):
    """d/ds [L exp(-s) + s/2] = 0 at exp(s) = 2 L; with half the weight, at exp(s) = L."""
    weighting, given = Uncertainty(TASKS), signals([loss] * 3)
    set_to(weighting, [math.log(2 * loss), math.log(loss), math.log(2 * loss)])
    total(weighting, given).backward()
    assert [float(p.grad) for p in weighting.parameters()] == pytest.approx([0, 0, 0], abs=1e-5)
    assert said(weighting, losses=[loss] * 3) == pytest.approx([1 / (2 * loss)] * 3, rel=1e-5)


def test_uncertainty_begins_with_plain_losses_and_half_of_squared_errors():
    weighting = Uncertainty(TASKS)
    assert said(weighting) == [1, 0.5, 1]
    assert float(weighting.penalty(signals()).detach()) == 0


def test_an_absent_task_has_no_gradient_and_does_not_drift():
    weighting = Uncertainty(TASKS)
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.1)
    for step in (signals(), signals([2.0, 3.0], tasks=[2, 0])):
        before = [parameter.detach().clone() for parameter in weighting.parameters()]
        optimizer.zero_grad()
        total(weighting, step).backward()
        optimizer.step()
    grads = [parameter.grad for parameter in weighting.parameters()]
    assert grads[1] is None
    assert None not in (grads[0], grads[2])
    moved = [not torch.equal(b, p) for b, p in zip(before, weighting.parameters(), strict=True)]
    assert moved == [True, False, True]
    assert float(weighting.penalty(signals([2.0, 3.0], tasks=[2, 0])).detach()) == pytest.approx(
        sum(float(weighting.log_variances[i].detach()) for i in (0, 2)) / 2
    )


def test_weights_without_parameters_add_no_penalty():
    for weighting in (Equal(TASKS), Fixed(TASKS), Scheduled(TASKS)):
        assert float(weighting.penalty(signals())) == 0
        assert not list(weighting.parameters())
