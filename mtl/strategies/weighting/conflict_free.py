"""ConFIG (Liu, Chu and Thuerey 2024): equal projections on every gradient, and a length of its own."""

from typing import ClassVar

from torch import Tensor

from mtl.functional.conflict_free import conflict_free
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class ConFIG(Weighting):
    """IMTL-G's direction with the length sum_i g_i . d / |d|: long where gradients agree, 0 where they cannot.

    Linearly independent gradients all agree with it, at any scale of the tasks; dependent ones need not.
    """

    claims: ClassVar = frozenset(
        {
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
        }
    )
    scale: ClassVar = "sum"
    needs_gramian = True

    def forward(self, signals: Signals) -> Tensor:
        """K weights, some perhaps negative."""
        return self.or_equal(conflict_free(signals.require_gramian()))
