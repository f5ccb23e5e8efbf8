"""Fixed weights, chosen in advance: L = sum_i w_i L_i."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim
from mtl.strategies.weighting.vectors import Weights, leading, vector


class Fixed(Weighting):
    """The weights as given; they are not normalised.

    Args:
        tasks: the run's tasks and their kinds.
        weights: by task name, or in the order of the tasks; `None`: the first task leads.
        lead: where `weights` is `None`, the first task's share; the others share the rest.

    """

    claims: ClassVar = frozenset(
        {
            Claim.CONVEX,
            Claim.SCALE_INVARIANT,
            Claim.UNIT_FREE,
            Claim.STRONGLY_STATIONARY,
        }
    )
    weights: Tensor

    def __init__(self, tasks: Mapping[str, str], weights: Weights | None = None, lead: float = 0.8) -> None:
        super().__init__(tasks)
        chosen = leading(self.tasks, 0, lead) if weights is None else vector(self.tasks, weights)
        self.register_buffer("weights", chosen)

    def total(self, tasks: int) -> float:
        """Their mean for each of the step's tasks."""
        return tasks * float(self.weights.mean())

    def forward(self, signals: Signals) -> Tensor:
        """The weights of the step's tasks."""
        return self.weights[signals.tasks]
