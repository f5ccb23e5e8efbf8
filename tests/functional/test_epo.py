"""EPO search against the same linear programs in cvxpy, autograd's slope, and the ray itself on VLMOP2."""

import cvxpy
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.fronts.problems import VLMOP2
from mtl.functional.epo import epo, imbalance


def case(seed, tasks, spread=1.0, balanced=False):
    generator = torch.Generator().manual_seed(seed)
    draw = {"generator": generator, "dtype": torch.float64}
    jacobian = torch.randn(tasks, tasks + 1, **draw) * torch.exp(spread * torch.randn(tasks, 1, **draw))
    preference = torch.rand(tasks, **draw) + 0.05
    preference /= preference.sum()
    losses = torch.rand(tasks, **draw) + 0.01
    if balanced:  # not quite
        losses = 0.3 / preference * (1 + 0.01 * losses)
    return jacobian @ jacobian.T, losses, preference


def test_the_adjustments_are_the_slope_of_the_imbalance():
    _, losses, preference = case(0, 5)
    leaf = losses.clone().requires_grad_()
    shares = preference * leaf / (preference * leaf).sum()
    (shares * (5 * shares).log()).sum().backward()
    mu, adjustments = imbalance(losses, preference)
    assert mu == pytest.approx(float(torch.distributions.Categorical(torch.ones(5)).entropy() - entropy(shares)))
    torch.testing.assert_close(adjustments / (preference * losses).sum(), leaf.grad)


def entropy(shares):
    return float(torch.distributions.Categorical(shares.detach()).entropy())


def by_cvxpy(gramian, losses, preference, tolerance=1e-4):
    """The value of the program of the official code, and whether weights meet its constraints."""
    gramian, losses, preference = (part.numpy() for part in (gramian, losses, preference))
    terms = preference * losses
    shares = terms / terms.sum()
    mu = float((shares * np.log(len(shares) * shares)).sum())
    pulls = gramian @ (preference * (np.log(len(shares) * shares) - mu))
    weights = cvxpy.Variable(len(terms), nonneg=True)
    simplex, gains = [cvxpy.sum(weights) == 1], gramian @ weights
    if mu > tolerance:
        goal, demands = pulls, []
        for i in range(len(terms)):
            if not (pulls > 0).any() or terms[i] == terms.max():
                demands.append(gains[i] >= 0)
            elif pulls[i] <= 0:
                demands.append(gains[i] >= pulls[i])
        tries = [demands]
    else:
        goal = gramian.sum(0)
        tries = [[gains >= 0, pulls @ weights >= min(pulls.max(), 0)], [gains >= 0]]
    for demands in tries:
        problem = cvxpy.Problem(cvxpy.Maximize(goal @ weights / abs(goal).max()), simplex + demands)
        problem.solve(solver=cvxpy.CLARABEL)
        if problem.status == cvxpy.OPTIMAL:
            break
    return goal / abs(goal).max(), problem.value, demands, weights


@pytest.mark.oracle("cvxpy")
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.booleans())
def test_weights_solve_the_linear_program_as_an_interior_point_solver_does(seed, tasks, balanced):
    gramian, losses, preference = case(seed, tasks, 0.5, balanced)
    found = epo(gramian, losses, preference)
    goal, value, demands, variable = by_cvxpy(gramian, losses, preference)
    assert float(goal @ found.numpy()) == pytest.approx(value, abs=1e-5)
    variable.value = found.numpy()
    assert all(np.max(demand.violation()) < 1e-6 * float(gramian.abs().max()) for demand in demands)


@pytest.mark.oracle("cvxpy")
def test_descends_in_balance_also_where_the_imbalance_cannot_be_kept():
    gramian, losses, preference = case(7, 4, 0.5, balanced=True)
    goal, value, demands, _ = by_cvxpy(gramian, losses, preference)
    assert len(demands) == 1  # the first of the two programs has no solution
    assert float(goal @ epo(gramian, losses, preference).numpy()) == pytest.approx(value, abs=1e-5)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.booleans())
def test_the_imbalance_falls_where_it_can_and_else_no_loss_rises(seed, tasks, balanced):
    gramian, losses, preference = case(seed, tasks, 0.5, balanced)
    weights = epo(gramian, losses, preference)
    pulls = gramian @ imbalance(losses, preference)[1]
    if balanced or not (pulls > 0).any():
        assert (gramian @ weights >= -1e-6 * gramian.diagonal().max()).all()
    else:
        assert weights @ pulls >= -1e-6 * pulls.abs().max()


def test_a_loss_of_zero_is_weighed_down_and_losses_of_zero_are_in_balance():
    gramian, half = torch.eye(2, dtype=torch.float64), torch.full((2,), 0.5)
    assert epo(gramian, torch.tensor([0.0, 1.0]), half).tolist() == [0, 1]
    assert epo(gramian, torch.tensor([1.0, 1.0]), half).sum() == pytest.approx(1)
    assert epo(gramian, torch.zeros(2), half).isfinite().all()
    assert epo(torch.zeros(2, 2), torch.ones(2), half).sum() == pytest.approx(1)


def test_goes_up_one_loss_where_balance_needs_it_and_down_both_in_balance():
    gramian = torch.tensor([[1.0, -0.5], [-0.5, 1.0]], dtype=torch.float64)
    half = torch.full((2,), 0.5)
    ascent = epo(gramian, torch.tensor([0.1, 1.0]), half)
    assert ascent.tolist() == pytest.approx([0, 1])
    assert (gramian @ ascent)[0] < 0
    assert (gramian @ epo(gramian, torch.tensor([0.5, 0.5]), half) >= 0).all()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_reaches_the_ray_of_its_preference_on_a_concave_front(share):
    problem, preference = VLMOP2(), torch.tensor([share, 1 - share], dtype=torch.float64)
    x = torch.rand(1, 20, generator=torch.Generator().manual_seed(3), dtype=torch.float64) - 0.5
    for number in range(400):
        values, slopes = problem(x)
        weights = epo((slopes @ slopes.mT)[0], values[0], preference)
        x = x - 0.2 * (1 - number / 400) * (weights[:, None] * slopes[0]).sum(0)
    first, second = (preference * problem(x)[0][0]).tolist()
    assert first == pytest.approx(second, rel=0.05)
    line = x.sum() / 20  # the Pareto set is the diagonal between the two centres
    assert (x - line).norm() < 0.02
