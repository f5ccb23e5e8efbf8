"""The formulas of the instrument against hand calculations and laws."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.functional.switch_affinity import conflict, dominance, first_order_affinity, lookahead_affinity, stale_adam
from mtl.functional.switch_cost import (
    backward_transfer,
    estimate,
    forgetting,
    forward_transfer,
    interference,
    median_recovery,
    realised_affinity,
    returns,
    switch_costs,
)
from mtl.functional.switch_visits import Visit, dwell, exposure, spells, switch_rate, visits

A, B, C = (0,), (1,), (2,)
steps_of_tasks = st.lists(st.sets(st.integers(0, 3), min_size=1, max_size=3).map(sorted), min_size=1, max_size=40)


def test_a_worked_example():
    # a two steps, b three, a two; losses of (a, b) after each step
    visited = visits([A, A, B, B, B, A, A])
    assert visited == [Visit(0, 2, A), Visit(2, 5, B), Visit(5, 7, A)]
    losses = {0: (10, 8), 2: (4, 8), 5: (7, 2), 6: (5, 3), 7: (4, 5)}
    (back,) = returns(visited, losses)
    assert (back.task, back.sources, back.left, back.arrived) == (0, (1,), 2, 5)
    assert back.cost == 3
    assert (back.recovery, back.watched) == (2, 2)
    assert switch_costs([back]) == {(1, 0): [3]}
    assert switch_costs([back], relative=True) == {(1, 0): [0.75]}
    assert interference(visited, losses, 2) == {
        (0, 0): [-6, -3],
        (0, 1): [0, 3],
        (1, 0): [3],
        (1, 1): [-6],
    }
    assert realised_affinity(visited, losses, 2)[1, 0] == [pytest.approx(1 - 7 / 4)]
    assert forgetting(visited, losses, 1) == 5 - 2
    assert math.isnan(forgetting(visited, losses, 0))  # the run ends with it
    assert backward_transfer(visited, losses, 2) == 2 - 5
    assert forward_transfer(visited, losses, 2) == 8 - 8


def test_backward_and_forward_transfer_are_those_of_gem_for_tasks_in_sequence():
    visited = visits([A] * 3 + [B] * 3 + [C] * 3)
    # R[i][j]: score of j after task i; b: before training. Losses are scores negated
    start, R = [0.1, 0.2, 0.3], [[0.9, 0.4, 0.2], [0.7, 0.8, 0.5], [0.6, 0.75, 0.9]]
    losses = {3 * (i + 1): [-score for score in row] for i, row in enumerate(R)} | {0: [-score for score in start]}
    assert backward_transfer(visited, losses, 3) == pytest.approx(((0.6 - 0.9) + (0.75 - 0.8)) / 2)
    assert forward_transfer(visited, losses, 3) == pytest.approx(((0.4 - 0.2) + (0.5 - 0.3)) / 2)
    assert forgetting(visited, losses, 0) == pytest.approx(max(0.9, 0.7) - 0.6)
    assert forgetting(visited, losses, 1) == pytest.approx(0.8 - 0.75)


@given(steps_of_tasks, st.integers(0, 2**32))
def test_a_cost_is_the_sum_of_the_interference_of_the_visits_between(trained, seed):
    visited = visits(trained)
    values = torch.rand(len(trained) + 1, 4, generator=torch.Generator().manual_seed(seed)).double()
    losses = dict(enumerate(values.tolist()))
    for back in returns(visited, losses):
        between = [visit for visit in visited if back.left <= visit.start < back.arrived]
        assert all(back.task not in visit.tasks for visit in between)
        moved = sum(interference([visit], losses, 4)[visit.tasks[0], back.task][0] for visit in between)
        assert moved == pytest.approx(back.cost)
        assert set(back.sources) == set(trained[back.arrived - 1])


@given(steps_of_tasks, st.floats(-3, 3), st.floats(0.1, 5))
def test_losses_that_stand_still_cost_nothing_and_costs_scale_with_the_loss(trained, offset, factor):
    visited = visits(trained)
    still = {step: [offset] * 4 for step in range(len(trained) + 1)}
    assert {back.cost for back in returns(visited, still)} <= {0}
    assert all(back.recovery == 0 for back in returns(visited, still))
    moving = {step: [math.sin(step + task) for task in range(4)] for step in range(len(trained) + 1)}
    scaled = {step: [factor * value + offset for value in row] for step, row in moving.items()}
    for one, other in zip(returns(visited, moving), returns(visited, scaled), strict=True):
        assert other.cost == pytest.approx(factor * one.cost, abs=1e-9)


@given(steps_of_tasks)
def test_visits_and_spells_lose_no_step(trained):
    visited = visits(trained)
    assert [visit.start for visit in visited] == [0, *(visit.end for visit in visited[:-1])]
    assert [list(visit.tasks) for visit in visited for _ in range(visit.end - visit.start)] == trained
    for task in range(4):
        assert sum(spells(visited, task)) == sum(task in tasks for tasks in trained)


def test_a_spell_goes_on_where_the_company_changes():
    visited = visits([(0, 1), (0, 2), (1, 2), (0,)])
    assert spells(visited, 0) == [2, 1]
    assert dwell(visited, 0) == 1.5
    assert math.isnan(dwell(visited, 3))
    assert switch_rate(visited) == 1000
    assert switch_rate(visits([A] * 5 + [B] * 6)) == 100


def test_what_was_not_measured_is_left_out():
    visited = visits([A, B, A, B, A])
    losses = {1: (1.0, math.nan), 2: (3.0, 1.0), 4: (2.0, 5.0)}
    assert switch_costs(list(returns(visited, losses))) == {(1, 0): [2.0]}
    assert math.isnan(backward_transfer(visited, losses, 2))


def test_a_visit_of_several_tasks_counts_for_each():
    visited = visits([A, (1, 2), A])
    losses = {step: (float(step), 1.0, 1.0) for step in range(4)}
    assert switch_costs(list(returns(visited, losses))) == {(1, 0): [1.0], (2, 0): [1.0]}


def test_a_recovery_that_is_not_seen_is_longer_than_all_that_are():
    visited = visits([A, B, A, A, A, B, A, A, B, A])
    losses = {s: (value, 0.0) for s, value in enumerate([9, 5, 7, 6, 6, 4, 5, 4, 3, 8, 8])}
    found = list(returns(visited, losses))
    assert [back.recovery for back in found if back.task == 0] == [3, 1, None]
    assert median_recovery([back for back in found if back.task == 0]) == 3
    assert median_recovery(found[-1:]) == math.inf
    assert math.isnan(median_recovery([]))


def test_exposure_is_a_ratio_of_shares():
    assert exposure({"a": 30, "b": 10}, {"a": 100, "b": 100}) == {"a": 1.5, "b": 0.5}


@given(st.lists(st.floats(-100, 100), min_size=6, max_size=30))
def test_the_interval_holds_the_mean_and_lies_within_the_samples(samples):
    mean, low, high, n = estimate(samples)
    assert n == len(samples)
    assert min(samples) - 1e-9 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= max(samples) + 1e-9


def test_few_samples_have_no_interval():
    mean, low, high, n = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (mean, n) == (3, 5)
    assert math.isnan(low)
    assert math.isnan(high)


def test_the_first_order_of_the_lookahead_is_the_gramian():
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(3, 5, generator=generator).double()
    theta, rate = torch.randn(5, generator=generator).double(), 1e-5
    gradients = theta - targets
    losses = gradients.square().sum(1) / 2
    after = torch.stack([((theta - rate * g) - targets).square().sum(1) / 2 for g in gradients])
    exact = lookahead_affinity(losses, after)
    torch.testing.assert_close(first_order_affinity(gradients @ gradients.T, losses, rate), exact, rtol=1e-4, atol=1e-9)


def test_conflict_of_gradients_by_hand():
    J = torch.tensor([[3.0, 4.0], [-8.0, 6.0], [0.0, 0.0]])
    cosines, similar = conflict(J @ J.T)
    assert cosines[:2, :2].flatten().tolist() == pytest.approx([1, 0, 0, 1])
    assert similar[0, 1] == pytest.approx(2 * 5 * 10 / 125)
    assert bool(cosines[2].isnan().all())


def test_dominance_is_a_share():
    assert dominance(torch.tensor([1.0, 3.0])).tolist() == [0.25, 0.75]
    assert bool(dominance(torch.zeros(2)).isnan().all())


@pytest.mark.parametrize("steps", [1, 5])
def test_the_stale_part_is_torchs_own_step_without_a_gradient(steps):
    parameter = torch.nn.Parameter(torch.ones(3).double())
    # a second moment that stands still: with beta2 near 1 a zero gradient changes its corrected value hardly
    optimizer = torch.optim.Adam([parameter], lr=0.1, betas=(0.9, 1 - 1e-9))
    for _ in range(steps):
        parameter.grad = torch.tensor([1.0, -2.0, 0.5]).double()
        optimizer.step()
    state, before = optimizer.state[parameter], parameter.detach().clone()
    expected = stale_adam(state["exp_avg"], state["exp_avg_sq"], steps, 0.1, (0.9, 1 - 1e-9), 1e-8)
    parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    # torch divides by sqrt(v_{t+1} / (1 - beta2^{t+1})), which is smaller by sqrt(t / (t + 1))
    torch.testing.assert_close(parameter.detach() - before, expected * ((steps + 1) / steps) ** 0.5, rtol=1e-5, atol=0)
