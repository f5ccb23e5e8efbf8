"""Weights of two tasks in closed form, for many starts at once; a test holds them to the solvers of `mtl.functional`.

A Gramian is its three numbers a = g1.g1, b = g1.g2, c = g2.g2, each a tensor of S starts; weights are 2 x S.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from mtl.functional.adam import Moments, adam
from mtl.functional.famo import famo
from mtl.functional.gramian import NOISE


class Gramian(NamedTuple):
    """Of two tasks."""

    a: Tensor
    b: Tensor
    c: Tensor


Weigh = Callable[[Tensor, Gramian], Tensor]
"""From losses (2 x S) and Gramians to weights (2 x S); nan where a start has none."""


def equal(losses: Tensor, gramian: Gramian) -> Tensor:
    """The sum of the losses (LS in the papers)."""
    return torch.ones_like(losses)


def mgda(losses: Tensor, gramian: Gramian) -> Tensor:
    """The shortest convex combination: where the line through both gradients comes nearest to 0."""
    a, b, c = gramian
    first = ((c - b) / (a + c - 2 * b)).clamp(0, 1)
    return torch.stack((first, 1 - first))


def pcgrad(losses: Tensor, gramian: Gramian) -> Tensor:
    """Each gradient without its conflicting part. UPGrad is half of it for two tasks."""
    a, b, c = gramian
    conflict = b.clamp(max=0)
    return 1 - torch.stack((conflict / a, conflict / c))


def dualproj(losses: Tensor, gramian: Gramian) -> Tensor:
    """The mean gradient, and as much of one task as it takes to conflict with none."""
    a, b, c = gramian
    return 0.5 + torch.stack(((-a - b).clamp(min=0) / (2 * a), (-c - b).clamp(min=0) / (2 * c)))


def imtl_g(losses: Tensor, gramian: Gramian) -> Tensor:
    """The bisector of the angle, with weights that come to 1."""
    lengths = torch.stack((gramian.c, gramian.a)).sqrt()
    return lengths / lengths.sum(0)


def conflict_free(losses: Tensor, gramian: Gramian) -> Tensor:
    """ConFIG: the bisector, at the length of the sum of the projections."""
    lengths = torch.stack((gramian.a, gramian.c)).sqrt()
    return lengths.sum(0) / (2 * lengths)


def nash_mtl(losses: Tensor, gramian: Gramian) -> Tensor:
    """The bisector again, at length sqrt(2): with unit gradients G v = 1/v has v1 = v2."""
    a, b, c = gramian
    lengths = torch.stack((a, c)).sqrt()
    return (1 + b / lengths.prod(0)).rsqrt() / lengths


def nash_mtl_fallback(losses: Tensor, gramian: Gramian) -> Tensor:
    """The same, and nan where the gradients cancel up to the noise of a float32 Gramian, as `bargain` has it."""
    a, b, c = gramian
    cosine = b / (a * c).sqrt()
    return torch.where(2 + 2 * cosine < 10 * NOISE * 2 * 4, torch.nan, nash_mtl(losses, gramian))


def fairgrad(losses: Tensor, gramian: Gramian) -> Tensor:
    """With alpha = 2, G w = w^(-1/2): u = sqrt(w2/w1) is the one positive root of c u^3 - b u^2 + b u - a."""
    a, b, c = gramian
    companion = torch.zeros(*a.shape, 3, 3, dtype=a.dtype)
    companion[..., 0, 0], companion[..., 0, 1], companion[..., 0, 2] = b / c, -b / c, a / c
    companion[..., 1, 0] = companion[..., 2, 1] = 1
    roots = torch.linalg.eigvals(companion)
    root = torch.where(roots.imag == 0, roots.real, -torch.inf).amax(-1)
    ratio = root * root
    first = (a + b * ratio) ** (-2 / 3)
    return torch.stack((first, ratio * first))


def aligned_mtl(losses: Tensor, gramian: Gramian) -> Tensor:
    """Principal components of one size, as in `mtl.functional.aligned_mtl`, batched."""
    a, b, c = gramian
    values, vectors = torch.linalg.eigh(torch.stack((a, b, b, c), -1).unflatten(-1, (2, 2)))
    low, high = values.unbind(-1)
    regular = low > 2 * NOISE * high
    smallest = torch.where(regular, low, high)[..., None]
    shrink = torch.where(torch.stack((regular, torch.ones_like(regular)), -1), smallest / values, 0.0).sqrt()
    return (vectors @ (shrink * vectors.sum(-2))[..., None])[..., 0].movedim(-1, 0)


def cagrad(c: float) -> Weigh:
    """CAGrad: the better of three candidates, one task alone or both at the same gain, all in closed form.

    With d = g0 + r u, |u| = 1 and r = c |g0|, either u is along the gradient of the one task that gains less, or
    both gain alike: then u . (g1 - g2) = -g0 . (g1 - g2) / r, and the rest of u is along the foot of the
    perpendicular on the line through g1 and g2 (MGDA's point, unclamped).
    """

    def weigh(losses: Tensor, gramian: Gramian) -> Tensor:
        one, cross, two = gramian
        radius = c / 2 * (one + 2 * cross + two).clamp(min=0).sqrt()
        gap = one + two - 2 * cross
        foot = (two - cross) / gap
        height = ((one * two - cross * cross) / gap).clamp(min=0)
        slant = (two - one) / (2 * radius)
        rest = ((1 - slant * slant / gap).clamp(min=0) / height).sqrt()
        both = torch.stack((slant / gap + rest * foot, rest * (1 - foot) - slant / gap))
        first, second = radius * one.rsqrt(), radius * two.rsqrt()
        mean1, mean2 = (one + cross) / 2, (two + cross) / 2
        alone1 = mean1 + first * one <= mean2 + first * cross
        alone2 = mean2 + second * two <= mean1 + second * cross
        zero = torch.zeros_like(first)
        extra = torch.where(alone1, torch.stack((first, zero)), radius * both)
        return 0.5 + torch.where(alone2, torch.stack((zero, second)), extra)

    return weigh


class RandomWeights:
    """RLW: softmax of normals in every step."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = Generator().manual_seed(seed)

    def __call__(self, losses: Tensor, gramian: Gramian) -> Tensor:
        """Fresh weights for each start."""
        return torch.randn(losses.shape, generator=self.generator).softmax(0)


class GradVac:
    """GradVac, whose target cosine is a moving average (LibMTL's beta of 0.5)."""

    def __init__(self, beta: float = 0.5) -> None:
        self.beta, self.target = beta, torch.zeros((), dtype=torch.float64)

    def __call__(self, losses: Tensor, gramian: Gramian) -> Tensor:
        """1 and what turns each gradient up to the target; the target moves on."""
        a, b, c = gramian
        lengths = torch.stack((a, c)).sqrt()
        cosine = b / lengths.prod(0)
        cotangent = self.target / (1 - self.target**2).clamp(min=0).sqrt().clamp(min=1e-3)
        turn = (cotangent * (1 - cosine**2).clamp(min=0).sqrt() - cosine).clamp(min=0)
        self.target = (1 - self.beta) * self.target + self.beta * cosine.clamp(-1, 1)
        return 1 + turn * lengths.flip(0) / lengths


class Famo:
    """FAMO with the papers' settings here: no decay, logits at 0.025, bounds of (-21 s, -21) below the losses."""

    def __init__(self, lowest: Tensor, rate: float = 0.025) -> None:
        self.lowest, self.rate = lowest, rate
        self.logits = torch.zeros_like(lowest)
        self.moments = Moments(self.logits, self.logits, torch.zeros(()))
        self.previous: Tensor | None = None

    def __call__(self, losses: Tensor, gramian: Gramian) -> Tensor:
        """Weights after the logits took one step along what the last step did to the losses."""
        losses = losses - self.lowest + 1e-8
        if self.previous is not None:
            falls = self.previous.log() - losses.log()
            shares = self.logits.softmax(0)
            step, self.moments = adam(shares * (falls - (shares * falls).sum(0)), self.moments, self.rate)
            self.logits = self.logits + step
        self.previous = losses
        return famo(self.logits, losses)
