"""Aligned-MTL (Senushkin et al. 2023): the gradients' principal components, all of the smallest's size."""

from typing import ClassVar

from torch import Tensor

from mtl.functional.aligned_mtl import aligned_mtl
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class AlignedMTL(Weighting):
    """Weights of the sum of the aligned gradients; some may be negative.

    The smallest component sets the size (the paper's, and TorchJD's `min`). `torch.symeig`, which the published codes
    still call, is gone from torch. A zero Gramian gives 1 for each task.
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
        """K weights."""
        return self.or_equal(aligned_mtl(signals.require_gramian()))
