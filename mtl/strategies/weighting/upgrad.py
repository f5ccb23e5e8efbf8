"""UPGrad (Quinton and Rey 2024): each gradient projected onto the cone where none conflicts, then their mean."""

from typing import ClassVar

from torch import Tensor

from mtl.functional.dual_cone import upgrad
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class UPGrad(Weighting):
    """Weights no lower than 1/K with G w >= 0.

    TorchJD adds 1e-4 to the diagonal of the Gramian, scaled to trace 1; here only a singular one gets 2e-7 K.
    """

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
        return self.or_equal(upgrad(signals.require_gramian()))
