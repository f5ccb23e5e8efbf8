"""IMTL-L (Liu et al. 2021): a learned scale a task brings all losses to one size."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class IMTLL(Weighting):
    """w_i = exp(s_i) with the penalty -s_i, at rest where exp(s_i) L_i = 1: uncertainty weighting with the sign turned.

    Args:
        tasks: the run's tasks and their kinds.
        learning_rate: of s, which starts at 0.

    """

    claims: ClassVar = frozenset({Claim.NONNEGATIVE, Claim.PERMUTATION_EQUIVARIANT, Claim.STRONGLY_STATIONARY})
    scale: ClassVar = "sum"

    def __init__(self, tasks: Mapping[str, str], learning_rate: float = 0.025) -> None:
        super().__init__(tasks)
        if not learning_rate > 0:
            raise ValueError(f"`learning_rate` should be positive. Found {learning_rate}")
        self.learning_rate = learning_rate
        self.log_scales = nn.Parameter(torch.zeros(len(self.tasks)))

    def forward(self, signals: Signals) -> Tensor:
        """exp(s_i) of the step's tasks; carries gradient to s."""
        return self.log_scales[signals.tasks].exp()

    def penalty(self, signals: Signals) -> Tensor:
        """Minus the sum of s_i over the step's tasks."""
        return -self.log_scales[signals.tasks].sum()
