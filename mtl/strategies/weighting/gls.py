"""Geometric loss strategy (Chennupati et al. 2019, MultiNet++, equation 2): the geometric mean of the losses."""

from typing import ClassVar

from torch import Tensor

from mtl.functional.geometric import geometric
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class GeometricLoss(Weighting):
    """The slope of (prod L)^(1/K): every task has the same share w_i L_i, whatever its unit. Losses must be > 0."""

    claims: ClassVar = frozenset(
        {
            Claim.NONNEGATIVE,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.TASK_SCALE_INVARIANT,
            Claim.STRONGLY_STATIONARY,
        }
    )

    def forward(self, signals: Signals) -> Tensor:
        """(prod L)^(1/K) / (K L_i)."""
        return geometric(signals.losses.float())
