import math

import pytest
import torch

from experiments.fronts.measures import covered, distances, hypervolume, on_ray
from experiments.fronts.problems import QUADRATICS, VLMOP2, preferences
from experiments.fronts.run import DESCENTS, SWEEPS, quadratic, sweep

PROBLEMS = {"vlmop2": VLMOP2(), **QUADRATICS}


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def test_vlmop2_by_hand():
    ends = VLMOP2().pareto_set(3)
    # at the ends the distance between the centres is 2, in the middle each is 1 away
    expected = [[0, 1 - math.exp(-4)], [1 - math.exp(-1)] * 2, [1 - math.exp(-4), 0]]
    torch.testing.assert_close(VLMOP2()(ends)[0], tensor(expected))


def test_quadratics_by_hand():
    x = tensor([[1.0, 2.0]])
    assert QUADRATICS["ewq"](x)[0].tolist() == [[1, 4]]
    assert QUADRATICS["cqf"](x)[0].tolist() == [pytest.approx([0.05 * 4, 3 * 4 - 2 * 0.6 * 4 + 0.2 * 4])]
    assert QUADRATICS["hqf"](x)[0].tolist() == [pytest.approx([8, 10 * (2 * 121 - 2 * 22 + 2 * 4)])]


@pytest.mark.parametrize("name", PROBLEMS)
def test_slopes_are_finite_differences(name):
    problem = PROBLEMS[name]
    width = problem.pareto_set(3).shape[1]
    x = torch.rand(20, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5
    slopes = problem(x)[1]
    for axis, shift in enumerate(1e-6 * torch.eye(width, dtype=torch.float64)):
        difference = (problem(x + shift)[0] - problem(x - shift)[0]) / 2e-6
        torch.testing.assert_close(slopes[..., axis], difference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", PROBLEMS)
def test_pareto_sets_are_stationary(name):
    first, second = PROBLEMS[name](PROBLEMS[name].pareto_set(51))[1].unbind(1)
    sizes = first.norm(dim=-1) * second.norm(dim=-1)
    assert ((first * second).sum(-1) + sizes).abs().max() < 1e-6 * max(1, sizes.max())


@pytest.mark.parametrize("name", PROBLEMS)
def test_no_point_of_a_front_dominates_another(name):
    front = PROBLEMS[name](PROBLEMS[name].pareto_set(101))[0]
    assert (front[1:, 0] >= front[:-1, 0]).all()
    assert (front[1:, 1] <= front[:-1, 1]).all()


def test_measures_by_hand():
    front = tensor([[0, 1], [1, 0]])
    assert distances(tensor([[0.5, 0.5], [1, 1], [-1, 1]]), front).tolist() == pytest.approx([0, 0.5**0.5, 1])
    assert hypervolume(tensor([[0.5, 0.5], [0.25, 0.75], [0.6, 0.6], [2, 0]]), (1, 1)) == pytest.approx(0.3125)
    assert hypervolume(front, (1, 1)) == 0
    line = torch.stack((torch.linspace(0, 1, 101), torch.linspace(1, 0, 101)), -1)
    assert covered(torch.tensor([[0.01, 0.99], [0.99, 0.01], [0.98, 0.01], [1.0, 1.0]]), line) == 2


def test_preferences_are_even_and_their_rays_cut_the_front_where_both_losses_weigh_alike():
    torch.testing.assert_close(preferences(2), tensor([[0.25, 0.75], [0.75, 0.25]]))
    line = torch.stack((torch.linspace(0, 1, 101), torch.linspace(1, 0, 101)), -1).double()
    torch.testing.assert_close(on_ray(line, preferences(2)), tensor([[0.75, 0.25], [0.25, 0.75]]), check_dtype=False)


def test_epo_ends_on_the_rays_of_its_preferences():
    ends = VLMOP2()(sweep("epo", 4, 200)[-1])[0]
    aims = on_ray(VLMOP2()(VLMOP2().pareto_set(2001))[0], preferences(4))
    assert (ends - aims).norm(dim=-1).max() < 0.02


def test_a_preference_moves_tchebycheff_along_the_front_and_linear_to_its_ends():
    linear, worst = (VLMOP2()(sweep(name, 6, 300)[-1])[0] for name in ("linear", "tchebycheff"))
    assert ((linear < 0.1) | (linear > 0.9)).all()
    assert (worst[1:, 0] < worst[:-1, 0]).all()


def test_paths_start_where_torchjd_starts():
    assert quadratic("hqf", "mgda").shape == (101, 4, 2)
    assert set(SWEEPS) & set(DESCENTS) == {"mgda", "upgrad"}
