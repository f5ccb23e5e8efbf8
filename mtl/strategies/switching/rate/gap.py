"""Dynamic sampling by the gap to the single-task score (Gottumukkala et al. 2020)."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.strategies.switching.feedback import Feedback, Progress
from mtl.strategies.switching.rate.base import Rate, known


class Gap(Rate):
    """p_i ~ (S_i - M_i) / |S_i|, S_i the validation score of the task's single-task run and M_i the present one.

    Args:
        sizes: training rows of each task.
        least: share of every task at least, as a part of 1 / T: a task at its single-task score still takes part.
    """

    adaptive, needs_baselines = True, True

    def __init__(self, sizes: Mapping[str, int], least: float = 0.1) -> None:
        super().__init__(sizes)
        if not 0 < least <= 1:
            raise ValueError(f"`least` should be more than 0 and at most 1. Found {least}")
        self.least = least
        self.single, self.scores = self.alike(math.nan), self.alike(math.nan)

    def baselines(self, scores: Mapping[str, float]) -> None:
        """S_i of every task."""
        self.single = torch.tensor([scores[name] for name in self.sizes], dtype=torch.float64)

    def __call__(self, progress: Progress) -> Tensor:
        """Uniform until the first validation."""
        if bool(self.scores.isnan().any()):
            return self.alike()
        gaps = ((self.single - self.scores) / self.single.abs().clamp(min=1e-9)).clamp(min=0)
        shares = gaps / gaps.sum() if bool(gaps.sum() > 0) else self.alike(1 / len(gaps))
        return (1 - self.least) * shares + self.least / len(gaps)

    def observe(self, feedback: Feedback) -> None:
        """Keep the newest scores."""
        self.scores = known(feedback.scores, self.scores)
