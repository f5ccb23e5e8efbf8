"""FAMO (Liu et al. 2023, algorithm 1): fast adaptive multi-task optimisation, from loss values alone."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.adam import Moments, adam
from mtl.functional.famo import famo, famo_slope
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class FAMO(Weighting):
    """Weights z_i / L_i, with logits of z that follow how much each loss has fallen since the task's last step.

    The paper measures the fall with one more forward of the same batch after the optimiser's step; here the next
    step's own losses tell it, which costs nothing and carries the noise of another batch. On one full batch the two
    are the same. The logged loss stays the training loss, where LibMTL mixes in the second forward's. The reference
    code also clips the gradient to norm 1, which is the trainer's business here.

    Args:
        tasks: the run's tasks and their kinds.
        learning_rate: of the logits' Adam.
        decay: gamma, its weight decay (the paper's 1e-3; the code's class has 0.01, runs use 0 to 0.01).
        lowest: a bound that no loss may reach, taken off all losses.

    """

    claims: ClassVar = frozenset(
        {
            Claim.CONVEX,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.TASK_SCALE_INVARIANT,
            Claim.STRONGLY_STATIONARY,
        }
    )
    logits: Tensor
    first: Tensor
    second: Tensor
    count: Tensor
    previous: Tensor

    def __init__(
        self, tasks: Mapping[str, str], learning_rate: float = 0.025, decay: float = 1e-3, lowest: float = 0.0
    ) -> None:
        super().__init__(tasks)
        if learning_rate < 0 or decay < 0:
            raise ValueError(f"`learning_rate` and `decay` should not be negative. Found {learning_rate}, {decay}")
        self.rate, self.decay, self.lowest = learning_rate, decay, lowest
        for name in ("logits", *Moments._fields):
            self.register_buffer(name, torch.zeros(len(self.tasks)))
        self.register_buffer("previous", torch.full((len(self.tasks),), torch.nan))

    def forward(self, signals: Signals) -> Tensor:
        """K weights that come to 1, after the logits took one step."""
        tasks, losses = signals.tasks, signals.losses.float() - self.lowest + 1e-8
        falls = self.previous[tasks].log() - losses.log()
        self._step(tasks[falls.isfinite()], falls[falls.isfinite()])
        self.previous[tasks] = losses
        return famo(self.logits[tasks], losses)

    def _step(self, tasks: Tensor, falls: Tensor) -> None:
        slope = famo_slope(self.logits[tasks], falls) + self.decay * self.logits[tasks]
        moments = Moments(self.first[tasks], self.second[tasks], self.count[tasks])
        step, (self.first[tasks], self.second[tasks], self.count[tasks]) = adam(slope, moments, self.rate)
        self.logits[tasks] += step
