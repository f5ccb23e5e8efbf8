"""IMTL-G (Liu et al. 2021): impartial to all tasks, the direction projects alike on each gradient."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.imtl_g import imtl_g
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class IMTLG(Weighting):
    """Weights that come to 1, some perhaps negative.

    Where there are none (opposite or zero gradients) the last ones stay, equal ones in the first step; counted. The
    paper has no word on that; LibMTL's matrix inverse raises or gives numbers without meaning.
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

    def __init__(self, tasks: Mapping[str, str]) -> None:
        super().__init__(tasks)
        self.register_buffer("last", torch.full((len(self.tasks),), torch.nan))

    def forward(self, signals: Signals) -> Tensor:
        """K weights."""
        return self.or_last(signals, imtl_g(signals.require_gramian()))
