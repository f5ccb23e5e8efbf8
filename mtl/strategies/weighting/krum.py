"""Krum and multi-Krum (Blanchard et al. 2017): a robust baseline, the gradients nearest to their neighbours."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.krum import krum
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class Krum(Weighting):
    """1/m for the m tasks that lie nearest to their K - f - 2 nearest neighbours, 0 for the rest.

    Steps with fewer than f + 3 tasks have no neighbours to speak of: equal weights, counted in `fallbacks`.

    Args:
        tasks: the run's tasks and their kinds.
        outliers: f, the tasks that are expected to be off.
        selected: m.

    """

    claims: ClassVar = frozenset(
        {
            Claim.CONVEX,
            Claim.SCALE_INVARIANT,
        }
    )
    needs_gramian = True

    def __init__(self, tasks: Mapping[str, str], outliers: int = 1, selected: int = 1) -> None:
        super().__init__(tasks)
        if outliers < 0 or selected < 1:
            raise ValueError(f"`outliers` >= 0 and `selected` >= 1 should hold. Found {outliers}, {selected}")
        self.outliers, self.selected = outliers, selected

    def forward(self, signals: Signals) -> Tensor:
        """K weights that come to 1."""
        gramian = signals.require_gramian()
        if len(gramian) < max(self.outliers + 3, self.selected):
            return self.or_equal(torch.full_like(gramian.diagonal(), torch.nan))
        return self.or_equal(krum(gramian, self.outliers, self.selected))
