"""Tchebycheff scalarisation (Bowman 1976): only the worst task counts."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from mtl.functional.tchebycheff import tchebycheff
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim
from mtl.strategies.weighting.vectors import Weights, simplex


class Tchebycheff(Weighting):
    """lambda_i for the task with the largest lambda_i L_i, 0 for the rest; reaches concave fronts of trade-offs too.

    It settles where all lambda_i L_i are equal, if there is such a point: the ray of the preference.

    Args:
        tasks: the run's tasks and their kinds.
        preference: lambda / T, on the simplex: by task name or in the order of the tasks; `None`: equal, lambda = 1.

    """

    claims: ClassVar = frozenset({Claim.CONVEX, Claim.PERMUTATION_EQUIVARIANT, Claim.SCALE_INVARIANT})
    scales: Tensor

    def __init__(self, tasks: Mapping[str, str], preference: Weights | None = None) -> None:
        super().__init__(tasks)
        self.register_buffer("scales", len(self.tasks) * simplex(self.tasks, preference))

    def forward(self, signals: Signals) -> Tensor:
        """K weights."""
        return tchebycheff(signals.losses.float(), self.scales[signals.tasks])
