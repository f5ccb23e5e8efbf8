"""IMTL-G (Liu et al. 2021): impartial to all tasks, the direction projects alike on each gradient."""

from typing import ClassVar

from torch import Tensor

from mtl.functional.imtl_g import imtl_g
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class IMTLG(Weighting):
    """Weights that come to 1, some perhaps negative; equal ones where there are none (opposite or zero gradients).

    The line on which d lies does not depend on the tasks' scales, but which way along it does: the weights are brought
    to a sum of 1 even where that turns d round, against every gradient. So the paper has it, and so it is here.
    """

    claims: ClassVar = frozenset(
        {
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
        }
    )
    needs_gramian = True

    def forward(self, signals: Signals) -> Tensor:
        """K weights."""
        return self.or_equal(imtl_g(signals.require_gramian()))
