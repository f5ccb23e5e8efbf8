"""FairGrad (Ban and Ji 2024): alpha-fair shares of the progress."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.bargaining import bargain
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class FairGrad(Weighting):
    """G w = w^(-1/alpha). alpha -> 0 is equal weights, 1 is Nash-MTL, 2 minimum potential delay, infinity max-min.

    Where there is no solution (opposite gradients, nothing finite) the last weights stay, 1 in the first step; counted.
    The official code takes what `scipy.least_squares` stopped at, multiplies by K and clips to norm 1; LibMTL does
    neither of the last two, nor does this.

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
        self.register_buffer("last", torch.full((len(self.tasks),), torch.nan))

    def forward(self, signals: Signals) -> Tensor:
        """K weights above 0."""
        return self.or_last(signals, bargain(signals.require_gramian(), self.alpha))
