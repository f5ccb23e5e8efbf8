"""Trimmed mean (Yin et al. 2018): a robust baseline, the mean of what is left of each coordinate without extremes."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.trimmed_mean import trimmed_mean
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim
from mtl.strategies.weighting.shares import shares


class TrimmedMean(Weighting):
    """At each coordinate the mean of the K - 2 b values that are neither among the b greatest nor the b least.

    The paper trims gradients of the same loss from K machines, some of which lie; tasks are no such machines, so this
    is a baseline and not their method. Steps of fewer than 2 b + 1 tasks take the plain mean, counted in `fallbacks`.
    What one task alone reads, such as its own learned prompt, has gradients of zero from all others: with b above 0 it
    does not train.

    Args:
        tasks: the run's tasks and their kinds.
        outliers: b (the paper's beta K).

    """

    claims: ClassVar = frozenset({Claim.NONNEGATIVE, Claim.PERMUTATION_EQUIVARIANT, Claim.SCALE_INVARIANT})
    needs_gramian = True
    needs_jacobian = True

    def __init__(self, tasks: Mapping[str, str], outliers: int = 1) -> None:
        super().__init__(tasks)
        if outliers < 0:
            raise ValueError(f"`outliers` should not be negative. Found {outliers}")
        self.outliers = outliers

    def combine(self, signals: Signals) -> tuple[Tensor, Tensor]:
        """K shares of the gradients in their trimmed mean, and that."""
        rows, squares = signals.require_jacobian(), signals.require_gramian().diagonal()
        if len(rows) <= 2 * self.outliers:
            return self.or_equal(torch.full_like(squares, torch.nan)), rows.mean(0)
        mean, products = trimmed_mean(rows, self.outliers)
        return shares(products, squares, 1 / len(rows)), mean
