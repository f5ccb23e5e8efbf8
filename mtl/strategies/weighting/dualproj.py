"""DualProj (Lopez-Paz and Ranzato 2017, equation 11, GEM): the mean gradient, projected to conflict with none."""

from typing import ClassVar

from torch import Tensor

from mtl.functional.dual_cone import dual_projection
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class DualProj(Weighting):
    """Weights no lower than 1/K with G w >= 0: the nearest such direction to the mean gradient."""

    claims: ClassVar = frozenset(
        {
            Claim.NONNEGATIVE,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.NON_CONFLICTING,
            Claim.STRONGLY_STATIONARY,
        }
    )
    needs_gramian = True

    def forward(self, signals: Signals) -> Tensor:
        """K weights."""
        return self.or_equal(dual_projection(signals.require_gramian()))
