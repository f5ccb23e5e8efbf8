"""Uncertainty weighting (Kendall, Gal and Cipolla 2018, equations 5 to 10): tasks weighted by a learned variance."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class Uncertainty(Weighting):
    """w_i = exp(-s_i), and exp(-s_i) / 2 for squared errors, where s_i = ln sigma_i^2.

    The first form is for losses of a likelihood with a softmax or sigmoid. The penalty is ln sigma_i = s_i / 2 for
    each task of the step. s starts at 0 (LibMTL starts at -0.5) and has a learning rate of its own and no weight
    decay; LibMTL trains it with the model's learning rate and decay.

    Args:
        tasks: the run's tasks and their kinds; the kind `regression` takes the second form.
        learning_rate: of the log-variances (0.025 in the code of Nash-MTL, 2022).

    """

    claims: ClassVar = frozenset({Claim.NONNEGATIVE, Claim.PERMUTATION_EQUIVARIANT, Claim.STRONGLY_STATIONARY})
    scale: ClassVar = "sum"
    factors: Tensor

    def __init__(self, tasks: Mapping[str, str], learning_rate: float = 0.025) -> None:
        super().__init__(tasks)
        if not learning_rate > 0:
            raise ValueError(f"`learning_rate` should be positive. Found {learning_rate}")
        self.learning_rate = learning_rate
        # one parameter a task: the optimiser leaves that of an absent task alone
        self.log_variances = nn.ParameterList(nn.Parameter(torch.zeros(())) for _ in self.tasks)
        self.register_buffer("factors", torch.tensor([0.5 if kind == "regression" else 1.0 for kind in self.kinds]))

    def forward(self, signals: Signals) -> Tensor:
        """exp(-s_i), or half of it, of the step's tasks; carries gradient to s."""
        return self.factors[signals.tasks] * torch.exp(-self._present(signals))

    def penalty(self, signals: Signals) -> Tensor:
        """Sum of s_i / 2 over the step's tasks."""
        return self._present(signals).sum() / 2

    def _present(self, signals: Signals) -> Tensor:
        return torch.stack([self.log_variances[task] for task in signals.tasks.tolist()])
