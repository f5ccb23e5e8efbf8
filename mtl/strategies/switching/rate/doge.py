"""DoGE: more for tasks whose gradient helps all tasks (Fan et al. 2023)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.strategies.switching.feedback import Feedback, Progress
from mtl.strategies.switching.rate.base import Rate


class Doge(Rate):
    """log p_i <- log p_i + clip(s_i, 0, 5) / mu with s_i = <g_i, sum_j g_j> / mean_j |g_j|^2 (algorithm 1).

    Gradients are taken where the run's weighting takes them (`gradients=shared`, `prompt`, ...), averaged over a block;
    the paper adds the learning rate, which is part of `mu` here.

    Args:
        sizes: training rows of each task.
        mu: strength of the old rates; the larger, the slower.
        least: share of every task at least, as a part of 1 / T.
    """

    adaptive, needs_gramian = True, True

    def __init__(self, sizes: Mapping[str, int], mu: float = 10.0, least: float = 0.1) -> None:
        super().__init__(sizes)
        if not mu > 0:
            raise ValueError(f"`mu` should be positive. Found {mu}")
        if not 0 <= least <= 1:
            raise ValueError(f"`least` should be from 0 to 1. Found {least}")
        self.mu, self.least = mu, least
        self.logs = self.alike(0.0)

    def observe(self, feedback: Feedback) -> None:
        """Move towards the tasks that help."""
        if feedback.gramian is not None:
            gramian = feedback.gramian.double()
            scale = gramian.diagonal().mean()
            if bool(scale > 0):
                self.logs = torch.log_softmax(self.logs + (gramian.sum(1) / scale).clamp(0, 5) / self.mu, 0)

    def __call__(self, progress: Progress) -> Tensor:
        """The present rates."""
        return (1 - self.least) * torch.softmax(self.logs, 0) + self.least / len(self.sizes)
