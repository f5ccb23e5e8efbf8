"""Equal weighting: every task of the run counts 1/T, the baseline of every other."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class Equal(Weighting):
    """w_i = 1/T. Published codes also use w_i = 1, which differs by a factor of T in the trunk's gradient."""

    claims: ClassVar = frozenset(
        {
            Claim.CONVEX,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.UNIT_FREE,
            Claim.STRONGLY_STATIONARY,
        }
    )

    def __init__(self, tasks: Mapping[str, str]) -> None:
        super().__init__(tasks)

    def total(self, tasks: int) -> float:
        """Less than 1 where a task of the run is absent: it counts as one without gradient."""
        return tasks / len(self.tasks)

    def forward(self, signals: Signals) -> Tensor:
        """1/T for each task of the step."""
        return torch.full_like(signals.losses, 1 / len(self.tasks))
