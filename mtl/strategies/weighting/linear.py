"""Linear scalarisation with a preference (the weighted sum, Zadeh 1963): L = sum_i p_i L_i."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim
from mtl.strategies.weighting.vectors import Weights, simplex


class Linear(Weighting):
    """The preference itself as weights: finds the convex parts of a front only.

    Unlike `fixed`, whose weights may be anything, these come to 1, so that a sweep over preferences keeps the step.

    Args:
        tasks: the run's tasks and their kinds.
        preference: on the simplex, by task name or in the order of the tasks; `None`: equal.

    """

    claims: ClassVar = frozenset(
        {
            Claim.CONVEX,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.UNIT_FREE,
            Claim.STRONGLY_STATIONARY,
        }
    )
    preference: Tensor

    def __init__(self, tasks: Mapping[str, str], preference: Weights | None = None) -> None:
        super().__init__(tasks)
        self.register_buffer("preference", simplex(self.tasks, preference))

    def total(self, tasks: int) -> float:
        """Less than 1 where a task of the run is absent, as under equal weights."""
        return tasks / len(self.tasks)

    def forward(self, signals: Signals) -> Tensor:
        """The preference of the step's tasks."""
        return self.preference[signals.tasks]
