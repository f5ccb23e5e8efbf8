"""EPO (Mahapatra and Rajan 2020): the Pareto optimum that has the losses in the proportions of a preference."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.epo import epo
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim
from mtl.strategies.weighting.vectors import Weights, simplex


class EPO(Weighting):
    """Weights of the simplex that lead to the ray where all p_i L_i are equal, letting a loss rise where they must.

    The official code multiplies the weights by K. Where the solver finds none, the preference itself takes their place,
    as there; counted. Losses must not be negative.

    Args:
        tasks: the run's tasks and their kinds.
        preference: p, on the simplex and above zero, by task name or in the order of the tasks; `None`: equal. A step
            of K of T tasks goes by their part of it.
        tolerance: how uneven (in nats) p_i L_i may be before a step balances instead of descending; the code's eps.

    """

    claims: ClassVar = frozenset({Claim.CONVEX, Claim.PERMUTATION_EQUIVARIANT, Claim.SCALE_INVARIANT})
    needs_gramian = True
    preference: Tensor

    def __init__(self, tasks: Mapping[str, str], preference: Weights | None = None, tolerance: float = 1e-4) -> None:
        super().__init__(tasks)
        if not tolerance > 0:
            raise ValueError(f"`tolerance` should be positive. Found {tolerance}")
        chosen = simplex(self.tasks, preference)
        if not chosen.all():
            name = self.tasks[int(chosen.argmin())]
            raise ValueError(f"`preference` should be above 0 for every task under EPO. Found 0 for task '{name}'")
        self.tolerance = tolerance
        self.register_buffer("preference", chosen)

    def forward(self, signals: Signals) -> Tensor:
        """K weights that come to 1; nan for a loss below zero, which has no share."""
        losses, preference = signals.losses.float(), self.preference[signals.tasks]
        if bool((losses < 0).any()):
            return torch.where(losses < 0, torch.nan, 1 / len(losses))
        preference = preference / preference.sum()
        weights = epo(signals.require_gramian(), losses, preference, self.tolerance)
        if bool(weights.isfinite().all()):
            return weights
        return self._counted("its preference", weights, preference.to(weights))
