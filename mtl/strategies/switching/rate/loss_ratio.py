"""More for tasks that learn slowly: by the inverse training rate (Chen et al. 2018; as a rate, Guo et al. 2018)."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.strategies.switching.feedback import Feedback, Progress
from mtl.strategies.switching.rate.base import Rate, known


class LossRatio(Rate):
    """p_i ~ (L_i / L_i(0))^gamma, L_i(0) the mean loss of the first block that had the task.

    Args:
        sizes: training rows of each task.
        gamma: 0 is uniform; GradNorm's exponent alpha is its like.
        least: share of every task at least, as a part of 1 / T, so that no task is forgotten.
    """

    adaptive = True

    def __init__(self, sizes: Mapping[str, int], gamma: float = 1.0, least: float = 0.1) -> None:
        super().__init__(sizes)
        if not 0 <= least <= 1:
            raise ValueError(f"`least` should be from 0 to 1. Found {least}")
        self.gamma, self.least = gamma, least
        self.first, self.losses = self.alike(math.nan), self.alike(math.nan)

    def __call__(self, progress: Progress) -> Tensor:
        """Uniform until every task has been seen."""
        if bool(self.losses.isnan().any()):
            return self.alike()
        ratios = (self.losses / self.first).clamp(min=0) ** self.gamma
        return (1 - self.least) * ratios / ratios.sum() + self.least / len(ratios)

    def observe(self, feedback: Feedback) -> None:
        """Keep the newest losses."""
        self.losses = known(feedback.losses, self.losses)
        self.first = torch.where(self.first.isnan(), self.losses, self.first)
