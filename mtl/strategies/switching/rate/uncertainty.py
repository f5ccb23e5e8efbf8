"""By each task's homoscedastic uncertainty: the weights of Kendall, Gal and Cipolla (2018) as sampling rates (ours)."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.strategies.switching.feedback import Feedback, Progress
from mtl.strategies.switching.rate.base import Rate, known


class Uncertainty(Rate):
    """p_i ~ L_i^power, L_i a moving average of the task's loss over blocks.

    Kendall's objective, exp(-s_i) L_i + s_i / 2 (equation 10; with exp(-s_i) / 2 for squared errors, equation 7), is
    least in s_i = ln sigma_i^2 where the weight of L_i is 1 / (2 L_i), for both kinds of loss. `power=-1` spends rows
    by that weight in place of weighing losses, so that the mean gradient has the direction of the weighted one, and
    tasks that are sure get more. A positive power asks for the uncertain ones, as active learning does.

    Args:
        sizes: training rows of each task.
        power: of the loss.
        memory: weight of the old average.
        least: share of every task at least, as a part of 1 / T.
    """

    adaptive = True

    def __init__(self, sizes: Mapping[str, int], power: float = -1.0, memory: float = 0.7, least: float = 0.1) -> None:
        super().__init__(sizes)
        if not math.isfinite(power):
            raise ValueError(f"`power` should be finite. Found {power}")
        if not 0 <= memory < 1:
            raise ValueError(f"`memory` should be from 0 to less than 1. Found {memory}")
        if not 0 <= least <= 1:
            raise ValueError(f"`least` should be from 0 to 1. Found {least}")
        self.power, self.memory, self.least = power, memory, least
        self.losses = self.alike(math.nan)

    def observe(self, feedback: Feedback) -> None:
        """Average the losses of the tasks that took part."""
        mixed = self.memory * self.losses + (1 - self.memory) * feedback.losses
        self.losses = known(torch.where(self.losses.isnan(), feedback.losses, mixed), self.losses)

    def __call__(self, progress: Progress) -> Tensor:
        """Uniform until every task has been seen."""
        if bool(self.losses.isnan().any()):
            return self.alike()
        shares = torch.softmax(self.power * self.losses.clamp(min=1e-12).log(), 0)
        return (1 - self.least) * shares + self.least / len(shares)
