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

    The reference code solves a sequence of convex programs with ECOS for at most 20 rounds; where ECOS is missing it
    falls silently back to w = 1. Here a step without a solution (opposite gradients, nothing finite) takes w = 1 too,
    and is counted. It also clips the gradient to norm 1, which is the trainer's business: |J'w|^2 = K always.

    Args:
        tasks: the run's tasks and their kinds.
        every: steps for which weights are kept (50 makes it as cheap as equal weights); they start at 1.

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
    weights: Tensor

    def __init__(self, tasks: Mapping[str, str], every: int = 1) -> None:
        super().__init__(tasks)
        if every < 1:
            raise ValueError(f"`every` should be at least 1. Found {every}")
        self.every = every
        self.register_buffer("weights", torch.ones(len(self.tasks)))

    def wants_gramian(self, step: int) -> bool:
        """In every `every`-th step."""
        return step % self.every == 0

    def forward(self, signals: Signals) -> Tensor:
        """K weights above 0."""
        if self.wants_gramian(signals.step):
            weights = self.or_equal(bargain(signals.require_gramian()))
            self.weights[signals.tasks] = weights.to(self.weights)
        return self.weights[signals.tasks]
