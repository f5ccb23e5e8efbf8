import math
from pathlib import Path

import pytest
import torch
from rich.progress import Progress

from experiments.toy_landscape import two_tasks
from experiments.toy_landscape.landscape import DRAWN_X2, FLOOR, STARTS, landscape, pareto_x2
from experiments.toy_landscape.run import METHODS, descend, reached, run
from experiments.toy_landscape.run import PROTOCOLS as ALL
from experiments.toy_landscape.run import QUICK as FIVE
from mtl.functional.aligned_mtl import aligned_mtl
from mtl.functional.bargaining import bargain
from mtl.functional.cagrad import cagrad
from mtl.functional.conflict_free import conflict_free
from mtl.functional.dual_cone import dual_projection, upgrad
from mtl.functional.imtl_g import imtl_g
from mtl.functional.mgda import min_norm
from mtl.functional.pcgrad import pcgrad
from mtl.reporting.expected import read_expected
from mtl.reporting.measured import read_measured, write_measured
from mtl.reporting.verdict import judge
from mtl.strategies.weighting.base import Signals
from mtl.strategies.weighting.famo import FAMO
from mtl.strategies.weighting.gradvac import GradVac

FOLDER = Path(__file__).parents[2] / "experiments" / "toy_landscape"
ORDER = torch.tensor([[1], [0]])
SOLVERS = {
    "mgda": min_norm,
    "pcgrad": lambda gramian: pcgrad(gramian, ORDER),
    "cagrad": lambda gramian: cagrad(gramian, 0.4),
    "imtl_g": imtl_g,
    "conflict_free": conflict_free,
    "nash_mtl": bargain,
    "nash_mtl_fallback": bargain,
    "fairgrad": lambda gramian: bargain(gramian, 2.0),
    "aligned_mtl": aligned_mtl,
    "dualproj": dual_projection,
}


def points(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 20 * torch.rand(count, 2, generator=generator, dtype=torch.float64) - 10


def gramians(count=300, seed=0):
    """Of gradients at every angle, whose lengths differ by up to 1e3."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, 2, 2, generator=generator, dtype=torch.float64)
    sizes = 10 ** (3 * torch.rand(count, 1, 1, generator=generator, dtype=torch.float64))
    vectors[:, :1] *= sizes
    matrices = vectors @ vectors.mT
    cosine = matrices[:, 0, 1] / matrices.diagonal(dim1=1, dim2=2).prod(1).sqrt()
    return matrices[cosine.abs() < 0.999]


def closed(weigh, matrices):
    gramian = two_tasks.Gramian(matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 1])
    return weigh(torch.ones(2, len(matrices), dtype=torch.float64), gramian).T


def test_losses_by_hand():
    x = torch.tensor([[0.0, 9.0], [3.0, -8.0], [0.0, 0.0]], dtype=torch.float64)
    losses, _ = landscape(x)
    # x2 = 9: only the logarithms, |tanh(9) - 3.5| = 2.5 for both; x2 = -8: only the bowls, 16/10 - 20 and 100/10 - 20
    assert losses[:, 0].tolist() == pytest.approx([(math.log(2.5) + 6) * math.tanh(4.5)] * 2, rel=1e-6)
    assert losses[:, 1].tolist() == pytest.approx([-18.4 * math.tanh(4), -10 * math.tanh(4)])
    assert losses[:, 2].tolist() == [0, 0]


def test_the_scale_is_of_the_first_loss():
    x = points(20)
    losses, slopes = landscape(x)
    scaled, scaled_slopes = landscape(x, torch.full((20,), 0.1, dtype=torch.float64))
    torch.testing.assert_close(scaled, losses * torch.tensor([[0.1], [1]]))
    torch.testing.assert_close(scaled_slopes, slopes * torch.tensor([0.1, 1])[:, None, None])


def test_slopes_are_finite_differences():
    x = points(500)
    step = 1e-6
    slopes = landscape(x, 0.1)[1]
    for axis in range(2):
        shift = torch.zeros(2, dtype=torch.float64)
        shift[axis] = step
        difference = (landscape(x + shift, 0.1)[0] - landscape(x - shift, 0.1)[0]) / (2 * step)
        torch.testing.assert_close(slopes[..., axis], difference, rtol=1e-4, atol=1e-6)


def test_on_the_ridge_both_halves_count_half():
    # f1 = f2 = ln 3.5 + 6 and g1 = g2 = (49 + 6.4)/10 - 20, each with a slope of c of 1/4 and -1/4
    slopes = landscape(torch.zeros(1, 2, dtype=torch.float64))[1]
    slope = (math.log(3.5) + 6 + 14.46) / 4
    assert slopes[:, 0].tolist() == [[0, pytest.approx(slope)], [0, pytest.approx(slope)]]


def test_the_valley_floor_is_flat_in_the_logarithm():
    x = torch.tensor([[2 * (math.tanh(5) - 3.5), 5.0]], dtype=torch.float64)
    losses, slopes = landscape(x)
    assert losses[0].item() == pytest.approx((math.log(FLOOR) + 6) * math.tanh(2.5), rel=1e-6)
    assert slopes[0, 0, 0] == 0


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_the_pareto_set_is_stationary(scale):
    x1 = torch.linspace(-6.9, 6.9, 41, dtype=torch.float64)
    first, second = landscape(torch.stack((x1, pareto_x2(x1)), -1), scale)[1]
    shortest = closed(two_tasks.mgda, torch.stack((first, second), 1) @ torch.stack((first, second), 1).mT)
    left = (shortest[:, :1] * first + shortest[:, 1:] * second).norm(dim=-1)
    assert left.max() < 1e-7
    assert (pareto_x2(x1) - DRAWN_X2).abs().max() < 0.09
    assert pareto_x2(torch.zeros(1, dtype=torch.float64)).item() == pytest.approx(DRAWN_X2, abs=1e-3)


def test_off_the_pareto_set_nothing_is_stationary():
    x1 = torch.linspace(-6.9, 6.9, 41, dtype=torch.float64)
    pair = torch.stack(tuple(landscape(torch.stack((x1, pareto_x2(x1) + 0.2), -1))[1]), 1)
    shortest = closed(two_tasks.mgda, pair @ pair.mT)
    assert (shortest[..., None] * pair).sum(1).norm(dim=-1).min() > 1e-3


@pytest.mark.parametrize("name", SOLVERS)
def test_closed_forms_are_the_solvers(name):
    matrices = gramians()
    weigh = METHODS[name].make(torch.ones(len(matrices)), 0.4)
    found = torch.stack([SOLVERS[name](matrix) for matrix in matrices])
    torch.testing.assert_close(closed(weigh, matrices), found, rtol=1e-5, atol=1e-5)


def test_the_fallback_is_where_the_solver_gives_up():
    angles = math.pi - 10 ** torch.linspace(-5, -1, 20, dtype=torch.float64)
    pairs = torch.stack((torch.stack((angles.cos(), angles.sin()), -1), torch.tensor([[3.0, 0.0]]).expand(20, 2)), 1)
    matrices = pairs @ pairs.mT
    solved = torch.tensor([bool(bargain(matrix).isfinite().all()) for matrix in matrices])
    assert torch.equal(closed(two_tasks.nash_mtl_fallback, matrices).isfinite().all(1), solved)
    assert 0 < solved.sum() < 20


def test_every_method_without_memory_is_compared():
    assert set(METHODS) - set(SOLVERS) == {"equal", "rlw", "gradvac", "famo"}


def test_pcgrad_is_twice_upgrad_for_two_tasks():
    matrices = gramians(100)
    twice = 2 * torch.stack([upgrad(matrix) for matrix in matrices])
    torch.testing.assert_close(closed(two_tasks.pcgrad, matrices), twice, rtol=1e-5, atol=1e-5)


def test_gradvac_remembers_as_the_weighting_does():
    matrices = gramians(60).unflatten(0, (-1, 2))
    ours, theirs = two_tasks.GradVac(), [GradVac({"a": "regression", "b": "regression"}).double() for _ in range(2)]
    for pair in matrices:
        found = [
            weighting(Signals(torch.arange(2), torch.ones(2), gramian=gram))
            for weighting, gram in zip(theirs, pair, strict=True)
        ]
        torch.testing.assert_close(closed(ours, pair), torch.stack(found), rtol=1e-5, atol=1e-5)


def test_famo_remembers_as_the_weighting_does():
    tasks = {"a": "regression", "b": "regression"}
    lowest = torch.tensor([[-2.1, -21.0], [-21.0, -21.0]])
    ours, theirs = two_tasks.Famo(lowest), [FAMO(tasks, decay=0.0) for _ in range(2)]
    losses = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    empty = two_tasks.Gramian(*torch.ones(3, 2))
    for step in range(20):
        moved = losses * 0.9**step
        found = [
            weighting(Signals(torch.arange(2), loss))
            for weighting, loss in zip(theirs, (moved - lowest).T, strict=True)
        ]
        torch.testing.assert_close(ours(moved, empty).T, torch.stack(found), rtol=1e-5, atol=1e-6)


def test_a_start_moves_alike_alone_and_in_company():
    protocol = ALL["s0.1"]._replace(marks=(400,))
    together = descend(("equal", "mgda", "famo"), (protocol,))
    alone = descend(("famo",), (protocol._replace(starts="d"),))
    torch.testing.assert_close(together[:, 2, 3], alone[:, 0, 0], rtol=1e-5, atol=1e-5)


def test_starts_and_a_point_of_the_front():
    assert list(STARTS) == list(ALL["s0.1"].starts)
    assert reached(torch.tensor([[0.0, -8.36], [0.0, -8.0]])).tolist() == [True, False]


@pytest.mark.slow
def test_five_methods_reach_the_front_as_published(tmp_path):
    asked = {"s0.1": ALL["s0.1"]._replace(marks=(35_000,))}
    with Progress(disable=True) as progress:
        _, cells = run(FIVE, asked, progress)
    write_measured(
        tmp_path / "measured.csv",
        ("protocol", "steps", "method"),
        {tuple(cell.split("/")): value for cell, value in cells.items()},
    )
    wanted = [f"s0.1/35k/{name}" for name in FIVE]
    expected = [cell for cell in read_expected(FOLDER / "expected.csv") if cell.row in wanted]
    verdicts = judge(read_measured(tmp_path / "measured.csv"), expected, "expected.csv")
    assert len(verdicts) > 20
    assert all(verdict.word == "inside" for verdict in verdicts)
