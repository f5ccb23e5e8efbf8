"""COSMOS (Ruchte and Grabocka 2021): one model for all preferences, told a fresh one in every step."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from mtl.functional.cosmos import cosmos
from mtl.functional.random_weights import random_weights
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.chance import Chance


class COSMOS(Weighting):
    """The slope of sum_i r_i L_i - penalty cos(r, L), for a preference r that is drawn anew in every step.

    The model hears r through a small layer of its own (`mtl.model.conditioned`), so that after training it answers for
    any preference; the paper adds r to the input. r is uniform on the simplex, Dirichlet(1); the paper and its code
    choose other concentrations, and a penalty from 0.01 to 8, by the data set. A step of K of T tasks goes by their
    part of r. Weights may be below zero: that is how the penalty pushes a loss up that is too low for its r.

    Args:
        tasks: the run's tasks and their kinds.
        penalty: lambda.
        condition: units of the layer that tells the model r.

    """

    claims: ClassVar = frozenset()
    coming: Tensor

    def __init__(self, tasks: Mapping[str, str], penalty: float = 1.0, condition: int = 64) -> None:
        super().__init__(tasks)
        if penalty < 0 or condition < 1:
            raise ValueError(f"`penalty` >= 0 and `condition` >= 1 should hold. Found {penalty}, {condition}")
        self.penalty_factor = penalty
        self.chance = Chance()
        self.register_buffer("coming", self._draw()[None])

    def coming_preference(self) -> Tensor:
        """T numbers that come to 1."""
        return self.coming[0]

    def forward(self, signals: Signals) -> Tensor:
        """K weights by the preference that the model has just heard; the next is drawn."""
        preference = self.coming[0, signals.tasks]
        self.coming = self._draw()[None].to(self.coming)
        return cosmos(signals.losses.float(), preference / preference.sum(), self.penalty_factor)

    def _draw(self) -> Tensor:
        return random_weights(len(self.tasks), "dirichlet", self.chance.generator)
