"""Dynamic task prioritisation (Guo et al. 2018): tasks that go badly come first."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.prioritize import prioritize
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class DynamicTaskPrioritization(Weighting):
    """w_i = -(1 - kappa_i)^gamma ln kappa_i with kappa_i a moving average of the task's skill.

    The paper's skill is accuracy or average precision. A step knows losses only, so here it is exp(-L), the geometric
    mean of the probability given to what is right where the loss is a cross-entropy.

    Args:
        tasks: the run's tasks and their kinds.
        focus: gamma; 0 weighs by the loss itself.
        momentum: alpha, the share of the newest value in the moving average.

    """

    claims: ClassVar = frozenset({Claim.NONNEGATIVE, Claim.PERMUTATION_EQUIVARIANT, Claim.STRONGLY_STATIONARY})
    scale: ClassVar = "sum"
    skill: Tensor

    def __init__(self, tasks: Mapping[str, str], focus: float = 1.0, momentum: float = 0.1) -> None:
        super().__init__(tasks)
        if focus < 0:
            raise ValueError(f"`focus` should not be negative. Found {focus}")
        if not 0 < momentum <= 1:
            raise ValueError(f"`momentum` should be above 0 and at most 1. Found {momentum}")
        self.focus, self.momentum = focus, momentum
        self.register_buffer("skill", torch.full((len(self.tasks),), torch.nan))

    def forward(self, signals: Signals) -> Tensor:
        """K weights, after the moving average took note of the step."""
        now, before = torch.exp(-signals.losses.float()), self.skill[signals.tasks]
        skill = torch.where(before.isnan(), now, (1 - self.momentum) * before + self.momentum * now)
        self.skill[signals.tasks] = skill
        return prioritize(skill.clamp(1e-6, 1 - 1e-6), self.focus)
