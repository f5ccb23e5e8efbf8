import math
from itertools import pairwise

import pytest
import torch
from scipy import stats

from experiments.gradnorm_toy.regression import OUTPUTS, Networks, make_tasks, slopes
from experiments.gradnorm_toy.run import METHODS, Point, Protocol, learn, main, measure, points_of, sign
from mtl.reporting.measured import over_seeds

TINY = Protocol(steps=2, rows=4, seeds=2, every=1, tested=5)


def test_targets_are_the_papers_function_and_share_their_base():
    tasks = make_tasks(2, torch.tensor([1.0, 100.0, 3.0]), variance=False)
    x, targets = tasks.draw(7, torch.Generator().manual_seed(0))
    torch.testing.assert_close(x.norm(dim=-1), torch.ones(2, 7))
    by_hand = 100 * torch.tanh(tasks.maps[1, 1] @ x[1, 4])
    torch.testing.assert_close(targets[1, 4, 1], by_hand, rtol=1e-4, atol=1e-3)
    own = tasks.maps[:, 0] - tasks.maps[:, 1]  # of two eps: standard deviation 3.5 times the root of 2
    assert own.std().item() == pytest.approx(3.5 * math.sqrt(2), rel=0.02)
    assert tasks.maps.std().item() == pytest.approx(math.hypot(10, 3.5), rel=0.02)
    variance = make_tasks(2, torch.ones(2), variance=True)
    assert variance.maps.std().item() == pytest.approx(math.sqrt(13.5), rel=0.02)


def test_slopes_by_hand_are_autograds():
    tasks = make_tasks(2, torch.tensor([1.0, 5.0, 100.0]), variance=True)
    networks = Networks.make(2, 3, 2)
    x, targets = (part.repeat(2, *[1] * (part.dim() - 1)) for part in tasks.draw(8, torch.Generator().manual_seed(0)))
    networks.heads.requires_grad_()
    features, below = networks.features(x)
    found = slopes(networks, features.detach(), below.detach(), targets)
    losses = networks.errors(features, targets).square().mean((1, 3))
    torch.testing.assert_close(found.losses, losses.detach())
    for task in range(3):
        inputs = (features, networks.trunk[-1], networks.heads)
        at, layer, heads = torch.autograd.grad(losses[:, task].sum(), inputs, retain_graph=True)
        own = slice(task * OUTPUTS, (task + 1) * OUTPUTS)
        torch.testing.assert_close(found.features[:, task], at)
        torch.testing.assert_close(found.norms[:, task], layer[:, 1:].flatten(1).norm(dim=1))
        torch.testing.assert_close(found.heads[..., own], heads[..., own])


def test_a_network_is_torchs_own():
    networks = Networks.make(2, 2, 1)
    x = torch.rand(2, 3, 250)
    layers = [torch.nn.functional.linear(x[1], w[1, 1:].T, w[1, 0]).relu() for w in networks.trunk[:1]]
    for weight in networks.trunk[1:]:
        layers.append(torch.nn.functional.linear(layers[-1], weight[1, 1:].T, weight[1, 0]).relu())
    features, below = networks.features(x)
    torch.testing.assert_close(features[1], layers[-1])
    torch.testing.assert_close(below[1], layers[-2])


def test_methods_begin_alike_and_part():
    points = learn("variance", "2", TINY)
    first = {point.method: point.score for point in points if (point.seed, point.step) == (1, 0)}
    last = {point.method: point.score for point in points if (point.seed, point.step) == (1, 2)}
    assert set(first) == set(METHODS)
    assert first["oracle"] == pytest.approx(first["equal"], rel=1e-6)
    assert last["oracle"] != last["equal"]


def test_equal_weights_are_plain_adam_on_the_mean_loss():
    points = [p for p in learn("deviation", "2", TINY) if p.method == "equal" and p.seed == 0]
    scales = torch.tensor([1.0, 100.0])
    tasks = make_tasks(2, scales, variance=False)
    made = Networks.make(2, 2, 1)
    widths = [250, 100, 100, 100, 100, 200]
    plain = torch.nn.Sequential(
        *[m for a, b in pairwise(widths) for m in (torch.nn.Linear(a, b), torch.nn.ReLU())][:-1]
    )
    for layer, weight in zip(plain[::2], [*made.trunk, made.heads], strict=True):
        layer.load_state_dict({"weight": weight[0, 1:].T.detach(), "bias": weight[0, 0].detach()})
    adam = torch.optim.Adam(plain.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(2000)
    for _ in range(2):
        x, targets = tasks.draw(4, generator)
        adam.zero_grad()
        (plain(x[0]).unflatten(-1, (2, 100)) - targets[0]).square().mean().backward()
        adam.step()
    x, targets = tasks.draw(5, torch.Generator().manual_seed(3000))
    losses = (plain(x[0]).unflatten(-1, (2, 100)) - targets[0]).square().mean((0, 2))
    assert points[-1].score == pytest.approx((losses / scales.square()).mean().item(), rel=1e-4)


def test_the_difference_from_equal_is_paired_over_seeds():
    equal, other = [0.9, 1.1, 1.0, 1.2], [0.85, 1.02, 0.93, 1.14]
    points = [
        Point("deviation", "2", method, seed, 5, score, "1 3")
        for method, scores in {"equal": equal, "gradnorm": other}.items()
        for seed, score in enumerate(scores)
    ]
    cells = measure(points, 5)
    row = ("deviation", "2", "gradnorm")
    test = stats.ttest_rel(other, equal)
    less = cells[*row, "minus_equal"]
    assert less.mean / less.error == pytest.approx(test.statistic)
    assert test.pvalue < 0.05
    assert cells[*row, "against_equal"] == -1
    assert cells[*row, "largest"].mean == 0.75


@pytest.mark.parametrize("values", [(0.1, 0.3, 0.2), (0.1, -0.3, 0.2), (-1.0, -1.1, -1.2)])
def test_the_sign_is_that_of_a_t_test(values):
    p = stats.ttest_1samp(values, 0).pvalue
    assert sign(over_seeds(dict(enumerate(values)))) == (0 if p > 0.05 else math.copysign(1, sum(values)))


def test_a_job_that_is_there_is_not_learned_again(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.gradnorm_toy.run.QUICK", TINY)
    main(["--quick", "--out", str(tmp_path)])
    before = (tmp_path / "measured.csv").read_bytes()
    assert len(points_of(tmp_path / "runs.csv")) == 4 * 5 * 2 * 3
    monkeypatch.setattr("experiments.gradnorm_toy.run.learn", None)
    main(["--quick", "--out", str(tmp_path)])
    assert (tmp_path / "measured.csv").read_bytes() == before
