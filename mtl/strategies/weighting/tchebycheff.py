"""Tchebycheff scalarisation (Bowman 1976): only the worst task counts."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.tchebycheff import tchebycheff
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim
from mtl.strategies.weighting.vectors import Weights, vector


class Tchebycheff(Weighting):
    """lambda_i for the task with the largest lambda_i L_i, 0 for the rest; reaches concave fronts of trade-offs too.

    Args:
        tasks: the run's tasks and their kinds.
        preferences: lambda, by task name or in the order of the tasks; `None`: 1 each.

    """

    claims: ClassVar = frozenset({Claim.CONVEX, Claim.PERMUTATION_EQUIVARIANT, Claim.SCALE_INVARIANT})
    preferences: Tensor

    def __init__(self, tasks: Mapping[str, str], preferences: Weights | None = None) -> None:
        super().__init__(tasks)
        chosen = torch.ones(len(self.tasks)) if preferences is None else vector(self.tasks, preferences)
        self.register_buffer("preferences", chosen)

    def forward(self, signals: Signals) -> Tensor:
        """K weights."""
        return tchebycheff(signals.losses.float(), self.preferences[signals.tasks])
