"""Each weighting is held to what it claims, on Gramians of every awkward kind."""

import warnings
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim

KINDS = ("random", "zero", "tied", "opposite", "rank_one", "low_rank", "one_zero", "unequal")
STEPS = 3


def jacobian(kind, tasks, generator):
    rows = torch.randn(tasks, 20, generator=generator, dtype=torch.float64)
    if kind == "zero":
        return 0 * rows
    if kind == "tied" and tasks > 1:
        rows[1] = rows[0]
    if kind == "opposite" and tasks > 1:
        rows[1] = -2 * rows[0]
    if kind == "rank_one":
        return torch.randn(tasks, 1, generator=generator, dtype=torch.float64) * rows[:1]
    if kind == "low_rank":
        return rows[:, :2] @ torch.randn(2, 20, generator=generator, dtype=torch.float64)
    if kind == "one_zero":
        rows[0] = 0
    if kind == "unequal":
        return rows * torch.logspace(-2, 2, tasks, dtype=torch.float64)[:, None]
    return rows


@st.composite
def cases(draw):
    """A few steps of losses and Gramians, a permutation and factors (powers of two, which cost no precision)."""
    kind, tasks = draw(st.sampled_from(KINDS)), draw(st.integers(1, 5))
    return case(kind, tasks, draw(st.integers(0, 10**6)), draw(st.integers(-10, 15)))


def case(kind, tasks, seed, exponent):
    generator = torch.Generator().manual_seed(seed)
    size = 10.0 ** (exponent / 2)
    jacobians = [size * jacobian(kind, tasks, generator) for _ in range(STEPS)]
    return {
        "losses": torch.rand(STEPS, tasks, generator=generator) + 0.05,
        "gramians": [(rows @ rows.T).float() for rows in jacobians],
        "jacobians": [rows.float() for rows in jacobians],
        "order": torch.randperm(tasks, generator=generator),
        "factors": 2.0 ** torch.randint(-3, 4, (tasks,), generator=generator),
        "seed": seed,
    }


def run(make, case, order=None, factors=None):
    """Weights and direction of each step (float64), and whether they stood in for ones not found."""
    tasks = case["losses"].shape[1]
    torch.manual_seed(case["seed"])
    weighting = make(tasks)
    order = torch.arange(tasks) if order is None else order
    factors = torch.ones(tasks) if factors is None else factors
    found = []
    for step in range(STEPS):
        losses = (case["losses"][step] * factors)[order]
        gramian = (case["gramians"][step] * torch.outer(factors, factors))[order][:, order]
        rows = (case["jacobians"][step] * factors[:, None])[order]
        now = Signals(torch.arange(tasks), losses, step, STEPS, 2 * step, gramian, rows)
        before = int(weighting.fallbacks)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            weights, direction = weighting.combine(now) if weighting.needs_jacobian else (weighting(now), None)
        weights = weights.detach().double()
        direction = weights @ rows.double() if direction is None else direction.double()
        assert weights.shape == (tasks,)
        assert weights.isfinite().all()
        assert direction.isfinite().all()
        found.append((weights, direction, int(weighting.fallbacks) > before))
    return found


def length(gramian, weights):
    return (weights @ gramian.double() @ weights).clamp(min=0).sqrt()


def parts(gramian, weights):
    return weights.abs() @ gramian.double().diagonal().sqrt()


def same_direction(gramian, one, other):
    """d of both alike up to a positive factor, or both as good as zero."""
    lengths = [length(gramian, w) for w in (one, other)]
    vanish = [size <= 1e-3 * parts(gramian, w) for size, w in zip(lengths, (one, other), strict=True)]
    if any(vanish):
        return all(size <= 2e-3 * parts(gramian, w) for size, w in zip(lengths, (one, other), strict=True))
    return length(gramian, one / lengths[0] - other / lengths[1]) < 1e-3 * (
        1 + parts(gramian, one) / lengths[0] + parts(gramian, other) / lengths[1]
    )


def alike(one, other, size):
    """Two directions that are one but for rounding, at gradients of that size."""
    return (one - other).norm() <= 1e-3 * size


def check_direction(claim, make, case):
    """The claim holds in this case for one that makes its direction itself."""
    plain, tasks = run(make, case), len(case["order"])
    factor = case["factors"][:1]
    changed = {
        Claim.PERMUTATION_EQUIVARIANT: {"order": case["order"]},
        Claim.SCALE_INVARIANT: {"factors": factor.expand(tasks)},
        Claim.TASK_SCALE_INVARIANT: {"factors": case["factors"]},
    }.get(claim)
    other = run(make, case, **changed) if changed else plain
    sizes = [rows.double().norm() for rows in case["jacobians"]]
    for step, ((weights, found, fallback), (_, others, _)) in enumerate(zip(plain, other, strict=True)):
        size, rows = sizes[step], case["jacobians"][step].double()
        if fallback:
            continue
        if claim in (Claim.NONNEGATIVE, Claim.CONVEX):
            assert (weights >= 0).all()
        if claim is Claim.CONVEX:
            assert weights.sum() == pytest.approx(tasks if make(tasks).scale == "sum" else 1, rel=1e-4)
        if claim is Claim.PERMUTATION_EQUIVARIANT:
            assert alike(found, others, size)
        if claim is Claim.SCALE_INVARIANT:
            assert alike(found, others / factor.double(), size)
        if claim is Claim.TASK_SCALE_INVARIANT:
            assert alike(found / found.norm(), others / others.norm(), 1.0)
        if claim is Claim.NON_CONFLICTING:
            assert (rows @ found >= -1e-5 * size * found.norm()).all()
        if claim is Claim.STRONGLY_STATIONARY and found.norm() <= 1e-5 * size:
            assert (weights > 0).all()


def check(claim, make, case):
    """The claim holds in this case."""
    tasks = len(case["order"])
    if make(tasks).needs_jacobian and claim is not Claim.UNIT_FREE:
        check_direction(claim, make, case)
        return
    plain = run(make, case)
    changed = {
        Claim.PERMUTATION_EQUIVARIANT: {"order": case["order"]},
        Claim.SCALE_INVARIANT: {"factors": case["factors"][:1].expand(tasks)},
        Claim.TASK_SCALE_INVARIANT: {"factors": case["factors"]},
        Claim.UNIT_FREE: {"factors": case["factors"]},
    }.get(claim)
    other = run(make, case, **changed) if changed else plain
    scale = make(tasks).scale
    for (weights, _, fallback), (others, _, other_fallback), gramian in zip(
        plain, other, case["gramians"], strict=True
    ):
        assert fallback == other_fallback
        if fallback:
            continue
        if claim in (Claim.NONNEGATIVE, Claim.CONVEX):
            assert (weights >= 0).all()
        if claim is Claim.CONVEX:
            assert weights.sum() == pytest.approx(tasks if scale == "sum" else 1, rel=1e-4)
        if claim is Claim.PERMUTATION_EQUIVARIANT:
            back = torch.empty_like(others)
            back[case["order"]] = others
            if make(tasks).needs_gramian:  # alike gradients may share their weight in more than one way
                assert length(gramian, weights - back) <= 1e-3 * parts(gramian, weights)
            else:
                torch.testing.assert_close(weights, back, rtol=1e-4, atol=1e-6)
        if claim is Claim.SCALE_INVARIANT:
            assert same_direction(gramian, weights, others)
        if claim is Claim.TASK_SCALE_INVARIANT:
            assert same_direction(gramian, weights, others * case["factors"].double())
        if claim is Claim.UNIT_FREE:
            torch.testing.assert_close(weights, others, rtol=1e-4, atol=1e-6)
        if claim is Claim.NON_CONFLICTING:
            slack = 1e-5 * parts(gramian, weights) * gramian.double().diagonal().sqrt()
            assert (gramian.double() @ weights >= -slack).all()
        if claim is Claim.STRONGLY_STATIONARY and length(gramian, weights) <= 1e-5 * parts(gramian, weights):
            assert (weights > 0).all()


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(case=cases())
def test_holds_to_what_it_claims(make, claim, case):
    if make.num_tasks in (None, case["losses"].shape[1]):
        check(claim, make, case)


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(tasks=st.integers(1, 8), seed=st.integers(0, 10**6), exponent=st.integers(-10, 15))
def test_finds_weights_for_every_gramian_of_full_rank(make, tasks, seed, exponent):
    if make.num_tasks in (None, tasks) and not hasattr(make(tasks), "outliers"):
        assert not any(fallback for *_, fallback in run(make, case("random", tasks, seed, exponent)))


@pytest.mark.parametrize("kind", KINDS)
def test_gives_finite_weights_for_every_kind_of_gramian_and_counts_those_not_found(make, kind):
    run(make, case(kind, make.num_tasks or 4, 1, 0))


def test_takes_equal_weights_for_a_gramian_that_is_not_finite_and_goes_on(make_on_gramian, signals):
    tasks = list(range(make_on_gramian.num_tasks or 4))
    weighting, twin = make_on_gramian(len(tasks)), make_on_gramian(len(tasks))
    twin.load_state_dict(weighting.state_dict())
    broken = signals(tasks)
    broken.gramian[0, 0] = torch.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        weights = weighting(broken)
        assert weights.isfinite().all()
        torch.testing.assert_close(weights, weights[:1].expand_as(weights))
        assert weighting(signals(tasks, step=1)).isfinite().all()


# a law that a liar passes is no law


class Liar(Weighting):
    """Claims everything."""

    claims: ClassVar = frozenset(Claim)
    needs_gramian = True

    def __init__(self, tasks, lie):
        super().__init__(tasks)
        self.lie = lie

    def forward(self, signals):
        return self.lie(signals.losses, signals.gramian)


class LiarOfDirections(Liar):
    """The same with a direction of its own."""

    needs_jacobian = True

    def combine(self, signals):
        """A direction that goes by the order, the size and one task of the step."""
        weights = self.lie(signals.losses, signals.gramian)
        sizes = 1 + torch.arange(len(weights)).flip(0)
        return weights, (sizes * weights) @ signals.jacobian / (1 + signals.losses[0]) - signals.jacobian[-1]


LIES = {
    Claim.NONNEGATIVE: lambda losses, gramian: -losses,
    Claim.CONVEX: lambda losses, gramian: losses,
    Claim.PERMUTATION_EQUIVARIANT: lambda losses, gramian: torch.arange(1.0, 1 + len(losses)),
    Claim.SCALE_INVARIANT: lambda losses, gramian: 1 / (1 + losses),
    Claim.TASK_SCALE_INVARIANT: lambda losses, gramian: torch.ones_like(losses),
    Claim.UNIT_FREE: lambda losses, gramian: 1 / losses,
    Claim.NON_CONFLICTING: lambda losses, gramian: torch.ones_like(losses),
    Claim.STRONGLY_STATIONARY: lambda losses, gramian: torch.zeros_like(losses),
}


@pytest.mark.parametrize("cls", [Liar, LiarOfDirections])
@pytest.mark.parametrize("claim", Claim)
def test_finds_out_a_liar(claim, cls):
    def make(num_tasks):
        return cls({f"task{i}": "classification" for i in range(num_tasks)}, LIES[claim])

    caught = 0
    for seed in range(10):
        for kind in KINDS:
            try:
                check(claim, make, case(kind, 4, seed, 0))
            except AssertionError:
                caught += 1
    assert caught
