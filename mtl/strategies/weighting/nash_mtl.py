"""Nash-MTL (Navon et al. 2022): multi-task learning as a bargaining game."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.bargaining import bargain
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class NashMTL(Weighting):
    """The Nash bargaining solution, G w = 1 / w: the unique minimum of w'Gw/2 - sum ln w_i, by Newton's method.

    The reference code solves a sequence of convex programs with ECOS for at most 20 rounds; where it fails it keeps the
    last weights, which start at w = 1 (and stay there, unseen, where ECOS is missing). Here too a step without a
    solution (opposite gradients, nothing finite) keeps the last weights, and is counted. The reference also clips the
    gradient to norm 1, which is the trainer's business: |J'w|^2 = K always. `weigh_every=50`, the paper's remedy for
    the cost, holds the weights between.

    """

    claims: ClassVar = frozenset(
        {
            Claim.NONNEGATIVE,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.TASK_SCALE_INVARIANT,
            Claim.NON_CONFLICTING,
        }
    )
    scale: ClassVar = "sum"
    needs_gramian = True

    def __init__(self, tasks: Mapping[str, str]) -> None:
        super().__init__(tasks)
        self.register_buffer("last", torch.full((len(self.tasks),), torch.nan))

    def forward(self, signals: Signals) -> Tensor:
        """K weights, not below 0."""
        return self.or_last(signals, bargain(signals.require_gramian()))
