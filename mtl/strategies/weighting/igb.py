"""Improvable gap balancing (Dai, Fei and Lu 2023, IGBv1): tasks with more left to improve count more."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim
from mtl.strategies.weighting.epochs import Reference


class ImprovableGapBalancing(Weighting):
    """w_i = K softmax(L / b)_i / L_i, with b_i the task's mean loss in the second epoch; 1 / L_i until then.

    The code weighs log losses, hence the 1 / L_i. IGBv2, where a soft actor-critic learns the weights, is left out:
    it is another training loop. Losses must be > 0.

    Args:
        tasks: the run's tasks and their kinds.
        reference: the epoch that gives b, counted from 0.

    """

    claims: ClassVar = frozenset(
        {
            Claim.NONNEGATIVE,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.TASK_SCALE_INVARIANT,
            Claim.STRONGLY_STATIONARY,
        }
    )
    scale: ClassVar = "sum"

    def __init__(self, tasks: Mapping[str, str], reference: int = 1) -> None:
        super().__init__(tasks)
        self.reference = Reference(len(self.tasks), reference)

    def forward(self, signals: Signals) -> Tensor:
        """K weights."""
        losses = signals.losses.float()
        self.reference.update(signals)
        if signals.epoch <= self.reference.epoch:
            return 1 / losses
        return len(losses) * torch.softmax(self.reference.relative(signals), dim=0) / losses
