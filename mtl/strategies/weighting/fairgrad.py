"""FairGrad (Ban and Ji 2024): alpha-fair shares of the progress."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from mtl.functional.bargaining import bargain
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class FairGrad(Weighting):
    """G w = w^(-1/alpha). alpha -> 0 is equal weights, 1 is Nash-MTL, 2 minimum potential delay, infinity max-min.

    Equal weights of 1 where there is no solution (opposite gradients, nothing finite), counted. The official code
    multiplies by K and clips to norm 1; LibMTL does neither, nor does this.

    Args:
        tasks: the run's tasks and their kinds.
        alpha: above 0 (1 in the codes' defaults, 2 in the paper's tables).

    """

    claims: ClassVar = frozenset(
        {
            Claim.NONNEGATIVE,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.NON_CONFLICTING,
        }
    )
    scale: ClassVar = "sum"
    needs_gramian = True

    def __init__(self, tasks: Mapping[str, str], alpha: float = 2.0) -> None:
        super().__init__(tasks)
        if not alpha > 0:
            raise ValueError(f"`alpha` should be positive. Found {alpha}")
        self.alpha = alpha

    def forward(self, signals: Signals) -> Tensor:
        """K weights above 0."""
        return self.or_equal(bargain(signals.require_gramian(), self.alpha))
