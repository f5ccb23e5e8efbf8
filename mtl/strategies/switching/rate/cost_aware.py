"""More for tasks that gain more per second of compute (ours; the knapsack view of AutoSeM and of data mixing)."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.strategies.switching.feedback import Feedback, Progress
from mtl.strategies.switching.rate.base import Rate, known


class CostAware(Rate):
    """p_i ~ max(relative fall of L_i over the last block, 0) per measured second that the task took.

    Seconds are measured, so two runs differ; the state goes on exactly, the future of a resumed run need not.

    Args:
        sizes: training rows of each task.
        memory: weight of the old average of the gain per second.
        least: share of every task at least, as a part of 1 / T.
    """

    adaptive = True

    def __init__(self, sizes: Mapping[str, int], memory: float = 0.7, least: float = 0.2) -> None:
        super().__init__(sizes)
        if not 0 <= memory < 1:
            raise ValueError(f"`memory` should be from 0 to less than 1. Found {memory}")
        if not 0 < least <= 1:
            raise ValueError(f"`least` should be more than 0 and at most 1. Found {least}")
        self.memory, self.least = memory, least
        self.losses, self.gains = self.alike(math.nan), self.alike(math.nan)

    def observe(self, feedback: Feedback) -> None:
        """Average the gain per second of each task that took part twice."""
        fall = ((self.losses - feedback.losses) / self.losses).clamp(min=0) / feedback.seconds.clamp(min=1e-9)
        mixed = torch.where(self.gains.isnan(), fall, self.memory * self.gains + (1 - self.memory) * fall)
        self.gains = known(mixed, self.gains)
        self.losses = known(feedback.losses, self.losses)

    def __call__(self, progress: Progress) -> Tensor:
        """Uniform until every task has a gain."""
        if bool(self.gains.isnan().any()) or not bool(self.gains.sum() > 0):
            return self.alike()
        return (1 - self.least) * self.gains / self.gains.sum() + self.least / len(self.gains)
