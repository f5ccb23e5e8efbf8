"""Uncertainty weighting (Kendall, Gal and Cipolla 2018, equations 5 to 10): tasks weighted by a learned variance."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl.strategies.weighting.base import Signals, Weighting


class Uncertainty(Weighting):
    """w_i = exp(-s_i) for losses of a likelihood with a softmax or sigmoid, exp(-s_i) / 2 for squared errors; s_i = ln sigma_i^2.

    The penalty is ln sigma_i = s_i / 2 for each task of the step. s starts at 0 (LibMTL starts at -0.5) and has a
    learning rate of its own and no weight decay; LibMTL trains it with the model's learning rate and decay.

    Args:
        tasks: the run's tasks and their kinds; the kind `regression` takes the second form.
        learning_rate: of the log-variances (0.025 in the code of Nash-MTL, 2022).

    """

    half: Tensor

    def __init__(self, tasks: Mapping[str, str], learning_rate: float = 0.025) -> None:
        super().__init__(tasks)
        if not learning_rate > 0:
            raise ValueError(f"`learning_rate` should be positive. Found {learning_rate}")
        self.learning_rate = learning_rate
        self.log_variances = nn.Parameter(torch.zeros(len(self.tasks)))
        self.register_buffer("half", torch.tensor([0.5 if kind == "regression" else 1.0 for kind in self.kinds]))

    def forward(self, signals: Signals) -> Tensor:
        """exp(-s_i), or half of it, of the step's tasks; carries gradient to s."""
        return self.half[signals.tasks] * torch.exp(-self.log_variances[signals.tasks])

    def penalty(self, signals: Signals) -> Tensor:
        """Sum of s_i / 2 over the step's tasks."""
        return self.log_variances[signals.tasks].sum() / 2
