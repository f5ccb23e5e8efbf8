"""Weightings that combine the gradients themselves, coordinate by coordinate."""

import pytest
import torch
from torchjd import aggregation

from mtl.functional.mgda import min_norm
from mtl.strategies.weighting.adjusted import adjusted
from mtl.strategies.weighting.base import Signals
from mtl.strategies.weighting.grad_drop import GradDrop
from mtl.strategies.weighting.moco import MoCo
from mtl.strategies.weighting.trimmed_mean import TrimmedMean

TWO = {"a": "classification", "b": "classification"}
FOUR = TWO | {"c": "classification", "d": "classification"}


def step(rows, tasks=None, number=0):
    rows = torch.as_tensor(rows)
    places = torch.arange(len(rows)) if tasks is None else torch.tensor(tasks)
    return Signals(places, torch.ones(len(rows)), number, 100, 0, rows @ rows.T, rows)


@pytest.fixture
def rows():
    return torch.randn(4, 50, generator=torch.Generator().manual_seed(0))


# GradDrop


@pytest.mark.oracle("TorchJD")
@pytest.mark.parametrize("leak", [None, [0.0, 0.3, 1.0, 0.5]])
def test_grad_drop_is_torchjds_under_the_same_draws(rows, leak):
    ours = GradDrop(FOUR, leak=0.0 if leak is None else leak)
    theirs = aggregation.GradDrop(leak=None if leak is None else torch.tensor(leak))
    for number in range(5):
        ours.chance.generator.manual_seed(number)
        torch.manual_seed(number)
        torch.testing.assert_close(ours.combine(step(rows + number))[1], theirs(rows + number))


@pytest.mark.oracle("the paper's formula")
def test_grad_drop_by_hand():
    """Coordinates: agreed, alone, opposite and equal, opposite 3 to 1, none."""
    rows = torch.tensor([[1.0, 2.0, 1.0, 3.0, 0.0], [2.0, 0.0, -1.0, -1.0, 0.0]])
    weighting, sums = GradDrop(TWO), torch.zeros(5)
    seen = [set() for _ in range(5)]
    for _ in range(4000):
        _, direction = weighting.combine(step(rows))
        sums += direction
        for values, value in zip(seen, direction.tolist(), strict=True):
            values.add(value)
    assert seen == [{3.0}, {2.0}, {1.0, -1.0}, {3.0, -1.0}, {0.0}]
    # half of the time + 1 and half - 1; three times in four + 3, else - 1
    torch.testing.assert_close(sums / 4000, torch.tensor([3.0, 2.0, 0.0, 2.0, 0.0]), atol=0.1, rtol=0)


def test_grad_drop_leaks_and_says_what_share_passed(rows):
    weights, direction = GradDrop(FOUR, leak=1.0).combine(step(rows))
    torch.testing.assert_close(direction, rows.sum(0))
    torch.testing.assert_close(weights, torch.ones(4))
    weights, direction = GradDrop(FOUR, leak={"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.25}).combine(step(rows))
    assert weights[0] == pytest.approx(1)
    assert (weights[1:] > 0.3).all()
    assert (weights[1:] < 0.9).all()
    assert GradDrop(FOUR).combine(step(0 * rows))[0].tolist() == [1, 1, 1, 1]


def test_grad_drop_knows_the_leak_of_the_tasks_that_are_there(rows):
    leak = {"a": 0.0, "b": 0.0, "c": 1.0, "d": 0.0}
    weights, _ = GradDrop(FOUR, leak=leak).combine(step(rows[:2], tasks=[2, 0]))
    assert weights[0] == pytest.approx(1)
    assert weights[1] < 0.95


# trimmed mean


@pytest.mark.oracle("TorchJD")
@pytest.mark.parametrize(("tasks", "outliers"), [(3, 1), (5, 1), (5, 2), (4, 0)])
def test_trimmed_mean_is_torchjds(tasks, outliers):
    rows = torch.randn(tasks, 30, generator=torch.Generator().manual_seed(1))
    weights, direction = TrimmedMean(FOUR | {"e": "tagging"}, outliers).combine(step(rows))
    torch.testing.assert_close(direction, aggregation.TrimmedMean(outliers)(rows))
    # what the tasks' shares add up to is what is there
    assert (weights * rows.square().sum(1)).sum() <= rows.square().sum() / (tasks - 2 * outliers)


def test_trimmed_mean_does_not_follow_a_task_that_is_far_off(rows):
    far = rows.clone()
    far[2] *= 1e6
    _, direction = TrimmedMean(FOUR).combine(step(far))
    assert direction.norm() < 2 * rows.norm()


def test_trimmed_mean_of_too_few_tasks_is_the_mean_and_counted(rows):
    weighting = TrimmedMean(FOUR)
    with pytest.warns(UserWarning, match="TrimmedMean found no weights"):
        weights, direction = weighting.combine(step(rows[:2], tasks=[0, 3]))
    assert weights.tolist() == [0.5, 0.5]
    torch.testing.assert_close(direction, rows[:2].mean(0))
    assert weighting.fallbacks == 1


# MoCo


def by_the_book(jacobians, losses, beta=0.5, gamma=0.1, rho=0.0, libmtl=False):
    """The two recursions, written out with loops, in float64; the projection by bisection."""
    T, N = jacobians[0].shape
    y, w, found = torch.zeros(T, N).double(), torch.full((T,), 1 / T).double(), []
    for k, (rows, L) in enumerate(zip(jacobians, losses, strict=True), 1):
        rows = rows.double()
        if libmtl:
            rows = torch.stack([g / g.norm() * loss for g, loss in zip(rows, L.double(), strict=True)])
        for i in range(T):
            y[i] = y[i] - beta / k**0.5 * (y[i] - rows[i])
        moved = w - gamma / k**0.5 * (y @ y.T + rho * torch.eye(T)) @ w
        if libmtl:
            w = moved.exp() / moved.exp().sum()
        else:
            low, high = moved.min() - 1, moved.max()
            for _ in range(100):
                middle = (low + high) / 2
                low, high = (middle, high) if (moved - middle).clamp(min=0).sum() > 1 else (low, middle)
            w = (moved - low).clamp(min=0)
        found.append((w.clone(), sum(w[i] * y[i] for i in range(T))))
    return found


@pytest.mark.oracle("the paper's formula")
@pytest.mark.parametrize("libmtl", [False, True])
def test_17_moco_is_the_papers_or_that_of_the_codes(rows, libmtl):
    generator = torch.Generator().manual_seed(1)
    jacobians = [0.5 * (rows + torch.randn(4, 50, generator=generator)) for _ in range(20)]
    losses = [0.5 + torch.rand(4, generator=generator) for _ in range(20)]
    options = {"update": "softmax", "rescale": True} if libmtl else {"rho": 0.1}
    weighting = MoCo(FOUR, **options)
    wanted = by_the_book(jacobians, losses, rho=options.get("rho", 0.0), libmtl=libmtl)
    for number, (now, L, (w, d)) in enumerate(zip(jacobians, losses, wanted, strict=True)):
        signals = Signals(torch.arange(4), L, number, 100, 0, None, now)
        weights, direction = weighting.combine(signals)
        torch.testing.assert_close(weights.double(), w, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(direction.double(), d, rtol=1e-4, atol=1e-5)
    assert weights.std() > (0.0001 if libmtl else 0.01)


def test_moco_comes_to_the_least_norm_of_the_mean_gradients_under_noise(rows):
    mean = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 2.0, 0.0]])
    best = min_norm(mean @ mean.T)
    weighting, generator = (
        MoCo(TWO, beta=0.1, beta_decay=0.0, gamma=0.01, gamma_decay=0.0),
        torch.Generator().manual_seed(0),
    )
    for number in range(3000):
        noisy = mean + 0.5 * torch.randn(2, 3, generator=generator)
        weights, _ = weighting.combine(step(noisy, number=number))
    assert (weights - best).abs().max() < 0.1
    assert best[0] == pytest.approx(0.75, abs=1e-3)


def test_5_moco_keeps_a_gradient_for_each_task_and_not_one_tensor_for_all(rows):
    weighting, given = MoCo(FOUR, beta=1.0), rows.clone()
    weighting.combine(step(given))
    given.zero_()
    torch.testing.assert_close(weighting.tracked, rows)


def test_moco_keeps_what_it_knows_of_an_absent_task(rows):
    weighting = MoCo(FOUR)
    weighting.combine(step(rows))
    before = weighting.tracked.clone(), weighting.weights.clone(), weighting.count.clone()
    weights, direction = weighting.combine(step(2 * rows[:2], tasks=[3, 1], number=1))
    for now, then in zip((weighting.tracked, weighting.weights, weighting.count), before, strict=True):
        assert torch.equal(now[[0, 2]], then[[0, 2]])
        assert not torch.equal(now[[3, 1]], then[[3, 1]])
    assert weighting.weights.sum() == pytest.approx(1)
    torch.testing.assert_close(direction, weights @ weighting.tracked[[3, 1]])


def test_moco_takes_the_tasks_of_a_step_in_any_order(rows):
    one, other, order = MoCo(FOUR), MoCo(FOUR), [2, 0, 3, 1]
    for number in range(3):
        weights, direction = one.combine(step(rows + number, number=number))
        again, same = other.combine(step((rows + number)[order], tasks=order, number=number))
        torch.testing.assert_close(again, weights[order])
        torch.testing.assert_close(same, direction)
    assert torch.equal(one.tracked, other.tracked)


# all


def test_a_reduction_rescales_the_direction_and_its_weights(make_on_jacobian, signals):
    T = make_on_jacobian.num_tasks or 4
    torch.manual_seed(0)
    plain = make_on_jacobian(T)
    torch.manual_seed(0)
    scaled = adjusted(make_on_jacobian(T), "sum" if plain.scale == "mean" else "mean")
    factor = T if plain.scale == "mean" else 1 / T
    for number in range(3):
        for one, other in zip(*(w.combine(signals(range(T), step=number)) for w in (plain, scaled)), strict=True):
            torch.testing.assert_close(other, factor * one)


def test_an_interval_is_refused(make_on_jacobian):
    with pytest.raises(ValueError, match=rf"`weigh_every` should be 1 for {make_on_jacobian.cls.__name__}.*Found 2"):
        adjusted(make_on_jacobian(make_on_jacobian.num_tasks or 4), every=2)


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [
        (GradDrop, {"leak": 2}),
        (GradDrop, {"leak": {"a": 0.5}}),
        (TrimmedMean, {"outliers": -1}),
        (MoCo, {"beta": 0}),
        (MoCo, {"update": "mirror"}),
    ],
)
def test_stops_at_a_wrong_option(cls, wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
        cls(FOUR, **wrong)
