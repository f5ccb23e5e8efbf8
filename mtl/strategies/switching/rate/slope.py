"""CoBa: by how fast each task converges, and away from one that diverges (Gong et al. 2024)."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.strategies.switching.feedback import Feedback, Progress
from mtl.strategies.switching.rate.base import Rate, known


class Slope(Rate):
    """Shares from the slopes a_i of the loss ratios over a window of blocks: convergence balancing.

    p = D softmax(T a_i / sum_j |a_j|) + (1 - D) softmax(-N a_i(t) / sum_s |a_i(s)|), over tasks each (equations 2
    to 4): the first term asks for tasks that converge slowly, the second for those whose own convergence lasts. The
    divergence factor D = min(1, t softmax_s(tau s a_max(s) / sum |a_max|)_t) (equation 5) goes towards the second when
    the largest slope turns upward. As a rate it decides rows and not weights, and reads the training losses of blocks,
    where the paper spends a validation batch a step.

    Args:
        sizes: training rows of each task.
        window: N blocks of a slope.
        tau: temperature of the divergence factor (paper: 5).
        least: share of every task at least, as a part of 1 / T (authors' code: 0.1).
    """

    adaptive = True

    def __init__(self, sizes: Mapping[str, int], window: int = 5, tau: float = 5.0, least: float = 0.1) -> None:
        super().__init__(sizes)
        if window < 2:
            raise ValueError(f"`window` should be at least 2. Found {window}")
        if not 0 <= least <= 1:
            raise ValueError(f"`least` should be from 0 to 1. Found {least}")
        self.window, self.tau, self.least = window, tau, least
        self.first, self.losses = self.alike(math.nan), self.alike(math.nan)
        self.ratios = torch.zeros(0, len(self.sizes), dtype=torch.float64)
        self.slopes = torch.zeros(0, len(self.sizes), dtype=torch.float64)

    def observe(self, feedback: Feedback) -> None:
        """Fit a line through the ratios of the window."""
        self.losses = known(feedback.losses, self.losses)
        if bool(self.losses.isnan().any()):
            return
        self.first = known(self.first, self.losses)
        self.ratios = torch.cat([self.ratios, (self.losses / self.first)[None]])[-self.window :]
        if len(self.ratios) > 1:
            times = torch.arange(len(self.ratios), dtype=torch.float64)
            times = times - times.mean()
            self.slopes = torch.cat([self.slopes, (times @ self.ratios / times.square().sum())[None]])

    def __call__(self, progress: Progress) -> Tensor:
        """Uniform until there is a slope."""
        if not len(self.slopes):
            return self.alike()
        T, recent = len(self.sizes), self.slopes[-self.window :]
        tiny = torch.finfo(torch.float64).tiny
        present = self.slopes[-1]
        relative = torch.softmax(T * present / present.abs().sum().clamp(min=tiny), 0)
        absolute = torch.softmax(-len(recent) * present / recent.abs().sum(0).clamp(min=tiny), 0)
        factor = self.divergence()
        shares = factor * relative + (1 - factor) * absolute
        return (1 - self.least) * shares + self.least / T

    def divergence(self) -> float:
        """D, 0 to 1."""
        largest = self.slopes.max(1).values
        t = len(largest)
        tiny = torch.finfo(torch.float64).tiny
        steps = torch.arange(1, t + 1, dtype=torch.float64)
        heat = self.tau * steps * largest / largest.abs().sum().clamp(min=tiny)
        return min(1.0, t * float(torch.softmax(heat, 0)[-1]))
