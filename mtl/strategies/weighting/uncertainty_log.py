"""Uncertainty weighting with a positive regulariser (Liebel and Koerner 2018): ln(1 + c^2) in place of ln c."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class UncertaintyLog(Weighting):
    """w_i = 1 / (2 c_i^2) with the penalty ln(1 + c_i^2), which unlike ln c_i never turns the total loss negative.

    Args:
        tasks: the run's tasks and their kinds; one form serves for all.
        learning_rate: of c, which starts at 1.

    """

    claims: ClassVar = frozenset({Claim.NONNEGATIVE, Claim.PERMUTATION_EQUIVARIANT, Claim.STRONGLY_STATIONARY})
    scale: ClassVar = "sum"

    def __init__(self, tasks: Mapping[str, str], learning_rate: float = 0.025) -> None:
        super().__init__(tasks)
        if not learning_rate > 0:
            raise ValueError(f"`learning_rate` should be positive. Found {learning_rate}")
        self.learning_rate = learning_rate
        self.deviations = nn.Parameter(torch.ones(len(self.tasks)))

    def forward(self, signals: Signals) -> Tensor:
        """1 / (2 c_i^2) of the step's tasks; carries gradient to c."""
        return 0.5 / self.deviations[signals.tasks] ** 2

    def penalty(self, signals: Signals) -> Tensor:
        """Sum of ln(1 + c_i^2) over the step's tasks."""
        return torch.log1p(self.deviations[signals.tasks] ** 2).sum()
