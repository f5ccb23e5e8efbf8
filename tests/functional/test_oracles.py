"""Every formula against somebody else's: TorchJD, cvxpy, scipy, autograd, or a plain loop over gradients."""

import cvxpy
import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torchjd import aggregation, scalarization
from torchjd.linalg import QuadprogProjector

from mtl.functional.adam import Moments, adam
from mtl.functional.aligned_mtl import aligned_mtl
from mtl.functional.bargaining import bargain
from mtl.functional.cagrad import cagrad
from mtl.functional.conflict_free import conflict_free
from mtl.functional.dual_cone import dual_projection, upgrad
from mtl.functional.famo import famo, famo_slope
from mtl.functional.geometric import geometric
from mtl.functional.gradnorm import gradnorm_slope
from mtl.functional.gradvac import gradvac
from mtl.functional.imtl_g import imtl_g
from mtl.functional.krum import krum
from mtl.functional.mgda import frank_wolfe, min_norm
from mtl.functional.pcgrad import pcgrad, random_order
from mtl.functional.prioritize import prioritize
from mtl.functional.quadratic import nonnegative
from mtl.functional.random_weights import random_weights
from mtl.functional.sdmgrad import descend
from mtl.functional.simplex import project
from mtl.functional.tchebycheff import smooth_tchebycheff, tchebycheff

pytestmark = [
    pytest.mark.filterwarnings("ignore:Solution may be inaccurate"),
    pytest.mark.filterwarnings("ignore:You are solving a parameterized"),
]
SIZES = [2, 3, 5, 8, 16]


def rows(tasks, seed=0, unequal=0.5, width=40):
    generator = torch.Generator().manual_seed(100 * tasks + seed)
    scales = torch.exp(unequal * torch.randn(tasks, 1, generator=generator, dtype=torch.float64))
    return scales * torch.randn(tasks, width, generator=generator, dtype=torch.float64)


def conflicting(tasks, seed=0):
    """Gradients of which many conflict."""
    jacobian = rows(tasks, seed)
    return jacobian - 0.9 * jacobian.mean(0)


def near(found, wanted, rtol=1e-5):
    assert (found - wanted).norm() <= rtol * wanted.norm()


@pytest.fixture(params=[(tasks, seed) for tasks in SIZES for seed in range(3)], ids=str)
def jacobian(request):
    return conflicting(*request.param)


@pytest.fixture
def gramian(jacobian):
    return jacobian @ jacobian.T


# exact problems


@pytest.mark.oracle("the paper's formula")
def test_finds_the_nash_bargain_of_the_worked_examples():
    near(bargain(torch.tensor([[1, 0.2], [0.2, 0.1]])), torch.tensor([0.7827, 2.4750]), 1e-4)
    near(bargain(torch.tensor([[1, -0.5], [-0.5, 4]])), torch.tensor([1.1547, 0.5774]), 1e-4)


@pytest.mark.oracle("the paper's formula")
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0])
def test_bargain_satisfies_its_equation(gramian, alpha):
    weights = bargain(gramian, alpha)
    near(gramian @ weights, weights ** (-1 / alpha), 1e-7)


@pytest.mark.oracle("TorchJD")
def test_bargain_is_torchjds_where_that_converges():
    jacobian = rows(3)
    theirs = aggregation.NashMTL(3, max_norm=0.0, optim_niter=100)(jacobian)
    near(jacobian.T @ bargain(jacobian @ jacobian.T), theirs, 1e-3)
    theirs = aggregation.FairGradWeighting(alpha=2.0)(jacobian @ jacobian.T)
    near(bargain(jacobian @ jacobian.T, 2.0), theirs)


@pytest.mark.oracle("cvxpy")
def test_min_norm_is_the_quadratic_programs(jacobian, gramian):
    weights = cvxpy.Variable(len(gramian))
    cvxpy.Problem(
        cvxpy.Minimize(cvxpy.sum_squares(jacobian.T.numpy() @ weights)), [weights >= 0, cvxpy.sum(weights) == 1]
    ).solve(cvxpy.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    found = min_norm(gramian)
    near(found, torch.from_numpy(weights.value), 1e-4)
    assert found @ gramian @ found <= weights.value @ gramian.numpy() @ weights.value * (1 + 1e-9)


@pytest.mark.oracle("TorchJD")
def test_frank_wolfe_comes_close_to_min_norm_and_is_torchjds(gramian):
    exact, near_by = min_norm(gramian), frank_wolfe(gramian, rounds=1000, tolerance=0.0)
    assert near_by @ gramian @ near_by <= 1.05 * (exact @ gramian @ exact) + 1e-3 * gramian.diagonal().min()
    near(frank_wolfe(gramian, 100, 1e-3), aggregation.MGDAWeighting(1e-3, 100)(gramian), 1e-9)


@pytest.mark.oracle("TorchJD")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(upgrad, aggregation.UPGradWeighting), (dual_projection, aggregation.DualProjWeighting)],
    ids=["upgrad", "dualproj"],
)
def test_projects_onto_the_dual_cone_as_torchjd_does(gramian, ours, theirs):
    near(ours(gramian), theirs(projector=QuadprogProjector(norm_eps=0.0, reg_eps=0.0))(gramian))


@pytest.mark.oracle("scipy")
def test_solves_nonnegative_least_squares_as_scipy_does(jacobian, gramian):
    target = jacobian.mean(0) - 3 * jacobian[0]
    hessian = gramian / gramian.diagonal().mean()
    found = nonnegative(hessian, -(jacobian @ target)[None] / gramian.diagonal().mean())[0]
    near(found + 1e-6, torch.from_numpy(nnls(jacobian.T.numpy(), target.numpy())[0]) + 1e-6)


@pytest.mark.parametrize("seed", [1, 2, 5, 6])
def test_settles_where_exchanging_all_at_once_goes_round_in_circles(seed):
    generator = torch.Generator().manual_seed(seed)
    units = torch.nn.functional.normalize(torch.randn(8, 4, generator=generator, dtype=torch.float64), dim=1)
    hessian = units @ units.T + 1e-6 * torch.eye(8, dtype=torch.float64)
    found = nonnegative(hessian, hessian)
    slack = found @ hessian + hessian
    assert (found >= 0).all()
    assert (slack >= -1e-8).all()
    assert (found * slack).abs().max() < 1e-6


@pytest.mark.oracle("cvxpy")
def test_projects_onto_the_simplex():
    for seed in range(20):
        vector = 3 * rows(5, seed)[:, 0]
        weights = cvxpy.Variable(5)
        cvxpy.Problem(
            cvxpy.Minimize(cvxpy.sum_squares(weights - vector.numpy())), [weights >= 0, cvxpy.sum(weights) == 1]
        ).solve(cvxpy.CLARABEL)
        torch.testing.assert_close(project(vector), torch.from_numpy(weights.value), rtol=1e-4, atol=1e-4)


@pytest.mark.oracle("TorchJD")
@pytest.mark.parametrize("c", [0.0, 0.1, 0.4, 0.9])
def test_cagrad_is_torchjds_to_the_precision_of_its_solver(jacobian, gramian, c):
    near(cagrad(gramian, c), aggregation.CAGradWeighting(c=c, norm_eps=0.0)(gramian), 3e-3)


@pytest.mark.oracle("cvxpy")
@pytest.mark.parametrize("c", [0.1, 0.4, 0.9])
def test_cagrad_is_the_cone_programs(jacobian, gramian, c):
    mean = jacobian.mean(0).numpy()
    radius, weights = c * np.linalg.norm(mean), cvxpy.Variable(len(gramian))
    combined = jacobian.T.numpy() @ weights
    cvxpy.Problem(
        cvxpy.Minimize(combined @ mean + radius * cvxpy.norm(combined)), [weights >= 0, cvxpy.sum(weights) == 1]
    ).solve(cvxpy.CLARABEL, tol_gap_abs=1e-13, tol_gap_rel=1e-13, tol_feas=1e-13)
    wanted = 1 / len(gramian) + radius * weights.value / np.linalg.norm(jacobian.T.numpy() @ weights.value)
    near(cagrad(gramian, c), torch.from_numpy(wanted), 5e-5)


def test_cagrad_does_no_worse_for_the_worst_task_than_any_direction_of_the_ball(jacobian, gramian):
    mean, direction = jacobian.mean(0), jacobian.T @ cagrad(gramian, 0.5)
    assert (direction - mean).norm() <= 0.5 * mean.norm() * (1 + 1e-6)
    best = (jacobian @ direction).min()
    for seed in range(50):
        step = torch.randn(jacobian.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        for other in (step, jacobian.T @ torch.rand(len(jacobian), dtype=torch.float64)):
            tried = mean + 0.5 * mean.norm() * other / other.norm()
            assert (jacobian @ tried).min() <= best + 1e-9 * gramian.max()


# closed forms


@pytest.mark.oracle("TorchJD")
def test_imtl_g_is_torchjds_and_projects_alike(jacobian, gramian):
    weights = imtl_g(gramian)
    near(weights, aggregation.IMTLGWeighting()(gramian))
    projections = gramian @ weights / gramian.diagonal().sqrt()
    near(projections, projections.mean().expand_as(projections), 1e-6)
    assert weights.sum() == pytest.approx(1)


def test_imtl_g_has_no_weights_where_they_come_to_nothing():
    units = torch.nn.functional.normalize(
        torch.tensor([[1, 0, 0], [0.94, 0.34, 0.05], [0.94, -0.34, 0.05]], dtype=torch.float64), dim=1
    )
    parts = torch.linalg.solve(units @ units.T, torch.ones(3, dtype=torch.float64))
    lengths = torch.tensor([-parts[0] / (parts[1] + parts[2]), 1, 1])  # then the sum of parts / lengths is 0
    assert imtl_g((units @ units.T) * torch.outer(lengths, lengths)).isnan().all()


@pytest.mark.oracle("the paper's formula")
def test_imtl_g_is_the_papers_closed_form(jacobian, gramian):
    units = jacobian / jacobian.norm(dim=1, keepdim=True)
    differences, unit_differences = jacobian[:1] - jacobian[1:], units[:1] - units[1:]
    rest = jacobian[0] @ unit_differences.T @ torch.linalg.inv(differences @ unit_differences.T)
    near(imtl_g(gramian), torch.cat((1 - rest.sum()[None], rest)))


@pytest.mark.oracle("TorchJD")
def test_aligned_is_torchjds_times_the_tasks(gramian):
    near(aligned_mtl(gramian), len(gramian) * aggregation.AlignedMTLWeighting()(gramian))


@pytest.mark.oracle("TorchJD")
def test_aligned_is_torchjds_without_full_rank():
    jacobian = rows(5)[:, :3]
    near(aligned_mtl(jacobian @ jacobian.T), 5 * aggregation.AlignedMTLWeighting()(jacobian @ jacobian.T))


@pytest.mark.oracle("TorchJD")
def test_conflict_free_is_torchjds(jacobian, gramian):
    near(jacobian.T @ conflict_free(gramian), aggregation.ConFIG()(jacobian))


@pytest.mark.oracle("the paper's formula")
@pytest.mark.parametrize("outliers", [0, 1, 2])
@pytest.mark.parametrize("selected", [1, 2])
def test_krum_keeps_those_with_the_near_neighbours(outliers, selected):
    for seed in range(5):
        jacobian = rows(6, seed)
        scores = []
        for i in range(6):
            distances = sorted(float((jacobian[i] - jacobian[j]).square().sum()) for j in range(6) if j != i)
            scores.append(sum(distances[: 6 - outliers - 2]))
        kept = np.argsort(scores)[:selected]
        wanted = torch.zeros(6, dtype=torch.float64)
        wanted[kept] = 1 / selected
        near(krum(jacobian @ jacobian.T, outliers, selected), wanted)


# surgery in a given order


def given_order(monkeypatch, order, with_self):
    """TorchJD draws a permutation a row; hand it ours."""
    drawn = iter(order.tolist())

    def randperm(count):
        row = next(drawn)
        i = next(task for task in range(len(order)) if task not in row)
        if with_self:
            return torch.tensor([i, *row])
        return torch.tensor([task - (task > i) for task in row])

    monkeypatch.setattr(torch, "randperm", randperm)


@pytest.mark.oracle("TorchJD")
def test_pcgrad_is_torchjds_and_the_papers_loop(jacobian, gramian, monkeypatch):
    order = random_order(len(gramian), torch.Generator().manual_seed(1))
    operated = jacobian.clone()
    for i, others in enumerate(order.tolist()):
        for j in others:
            product = operated[i] @ jacobian[j]
            if product < 0:
                operated[i] -= product / (jacobian[j] @ jacobian[j]) * jacobian[j]
    found = pcgrad(gramian, order)
    near(jacobian.T @ found, operated.sum(0))
    given_order(monkeypatch, order, with_self=True)
    near(found, aggregation.PCGradWeighting()(gramian))


@pytest.mark.oracle("TorchJD")
def test_gradvac_is_torchjds_over_some_steps(monkeypatch):
    for tasks in SIZES:
        theirs, targets = aggregation.GradVacWeighting(beta=0.3), torch.zeros(tasks, tasks, dtype=torch.float64)
        for step in range(4):
            jacobian = conflicting(tasks, step) + 0.5 * rows(tasks, step).mean(0)
            gramian = jacobian @ jacobian.T
            order = random_order(tasks, torch.Generator().manual_seed(step))
            given_order(monkeypatch, order, with_self=False)
            weights, targets = gradvac(gramian, order, targets, 0.3)
            near(weights, theirs(gramian), 1e-5)


def test_random_order_is_any_order_of_the_others():
    generator = torch.Generator().manual_seed(0)
    seen = {tuple(map(tuple, random_order(3, generator).tolist())) for _ in range(300)}
    assert len(seen) == 8
    assert all(i not in row for order in seen for i, row in enumerate(order))
    assert random_order(1).shape == (1, 0)


@pytest.mark.oracle("TorchJD")
def test_sdmgrad_is_torchjds_over_some_steps():
    theirs, weights = aggregation.SDMGradWeighting(), torch.full((5,), 0.2, dtype=torch.float64)
    for step in range(4):
        jacobian = conflicting(5, step)
        gramian = jacobian @ jacobian.T
        weights = descend(gramian, weights, 0.3, 10.0, 0.5, 20)
        near((weights + 0.3 / 5) / 1.3, theirs(gramian), 1e-4)


# losses


def slope(scalarize, losses):
    losses = losses.clone().requires_grad_()
    return torch.autograd.grad(scalarize(losses), losses)[0]


@pytest.fixture
def losses():
    return torch.rand(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1


@pytest.mark.oracle("TorchJD")
def test_geometric_is_the_slope_of_torchjds(losses):
    near(geometric(losses), slope(scalarization.GeometricMean(), losses))


@pytest.mark.oracle("TorchJD")
def test_smooth_tchebycheff_is_the_slope_of_torchjds(losses):
    preferences = torch.tensor([0.1, 0.2, 0.3, 0.2, 0.2], dtype=torch.float64)
    near(smooth_tchebycheff(losses, preferences, 0.1), slope(scalarization.STCH(0.1, preferences), losses))
    nearly_hard = smooth_tchebycheff(losses, preferences, 1e-3)
    near(nearly_hard, tchebycheff(losses, preferences), 1e-3)


def test_tchebycheff_is_the_slope_of_the_maximum(losses):
    preferences = torch.tensor([0.1, 0.2, 0.3, 0.2, 0.2], dtype=torch.float64)
    near(tchebycheff(losses, preferences), slope(lambda values: (preferences * values).max(), losses))
    ties = torch.tensor([1.0, 2.0, 2.0])
    assert tchebycheff(ties, torch.ones(3)).tolist() == [0, 0.5, 0.5]


@pytest.mark.oracle("TorchJD")
def test_famo_is_the_slope_of_torchjds_and_so_is_its_logits(losses):
    theirs = scalarization.FAMO(5).double()
    near(famo(torch.zeros(5, dtype=torch.float64), losses), slope(theirs, losses))
    logits, falls = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    near(famo_slope(logits, falls), slope(lambda values: (values.softmax(0) * falls).sum(), logits))


@pytest.mark.oracle("autograd")
def test_gradnorm_slope_is_autograds():
    weights, norms, ratios = torch.rand(4) + 0.5, torch.rand(4) + 0.5, torch.rand(4) + 0.5
    targets = (weights * norms).mean() * (ratios / ratios.mean()) ** 1.5
    wanted = slope(lambda values: (values * norms - targets).abs().sum(), weights)
    near(gradnorm_slope(weights, norms, ratios, 1.5), wanted)


@pytest.mark.oracle("the paper's formula")
def test_prioritize_is_the_focal_loss():
    assert float(prioritize(torch.tensor(0.5), 2.0)) == pytest.approx(0.25 * np.log(2))
    assert float(prioritize(torch.tensor(0.9), 0.0)) == pytest.approx(-np.log(0.9))


@pytest.mark.oracle("PyTorch")
def test_adam_is_torchs():
    parameter = torch.nn.Parameter(torch.zeros(3))
    theirs, ours, moments = torch.optim.Adam([parameter], lr=0.1), torch.zeros(3), Moments(*torch.zeros(3, 3))
    for seed in range(20):
        gradient = torch.randn(3, generator=torch.Generator().manual_seed(seed))
        parameter.grad = gradient.clone()
        theirs.step()
        step, moments = adam(gradient, moments, 0.1)
        ours = ours + step
    torch.testing.assert_close(ours, parameter.detach(), rtol=1e-5, atol=1e-6)


def coins(generator, count):
    chosen = generator.random((count, 4)) < 0.5
    nobody = np.flatnonzero(~chosen.any(1))
    chosen[nobody, generator.integers(4, size=len(nobody))] = True
    return chosen / chosen.sum(1, keepdims=True)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("distribution", "wanted"),
    [
        ("normal", lambda generator, count: softmax(generator.standard_normal((count, 4)))),
        ("uniform", lambda generator, count: softmax(generator.random((count, 4)))),
        ("dirichlet", lambda generator, count: generator.dirichlet(np.ones(4), count)),
        ("bernoulli", coins),
        ("one_hot", lambda generator, count: np.eye(4)[generator.integers(4, size=count)]),
    ],
)
def test_random_weights_are_distributed_as_they_say(distribution, wanted):
    generator, theirs = torch.Generator().manual_seed(0), wanted(np.random.default_rng(0), 20000)
    drawn = torch.stack([random_weights(4, distribution, generator) for _ in range(4000)])
    assert (drawn >= 0).all()
    torch.testing.assert_close(drawn.sum(1), torch.ones(4000))
    torch.testing.assert_close(drawn.mean(0), torch.full((4,), 0.25), rtol=0.06, atol=0)
    assert drawn.std(0).mean() == pytest.approx(theirs.std(0).mean(), rel=0.04)
