"""Online data mixing: an Exp3 bandit whose arms are the tasks (Albalak et al. 2023; Exp3: Auer et al. 2002)."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.strategies.switching.feedback import Feedback, Progress
from mtl.strategies.switching.rate.base import Rate


class Bandit(Rate):
    """p_i = (1 - T e_t) softmax(e_{t-1} R)_i + e_t with e_t = min(1 / T, sqrt(ln T / (T t))), t the turn.

    R_i is a moving average of the importance-weighted reward (training loss over the share the task had): tasks that
    are still badly learned are asked for more. A turn is a block of the plan. Losses of different kinds of task are on
    different scales; `relative` divides each by the task's first, where the paper's tasks all have one kind of loss.
    The authors' code draws from the process's global random numbers and so can't be resumed; here counts are exact.

    Args:
        sizes: training rows of each task.
        memory: weight of the old average (paper: 0.9).
        warmup: turns with rates in proportion to the sizes before the bandit decides (paper: 1 % of the run).
        relative: divide losses by the first block's.
    """

    adaptive = True

    def __init__(self, sizes: Mapping[str, int], memory: float = 0.9, warmup: int = 1, relative: bool = True) -> None:
        super().__init__(sizes)
        if not 0 <= memory < 1:
            raise ValueError(f"`memory` should be from 0 to less than 1. Found {memory}")
        if warmup < 0:
            raise ValueError(f"`warmup` should be at least 0. Found {warmup}")
        self.memory, self.warmup, self.relative = memory, warmup, relative
        self.rewards, self.first = self.alike(0.0), self.alike(math.nan)
        self.turns = torch.zeros((), dtype=torch.long)

    def explore(self, turn: int) -> float:
        """e_t, the share that every task has at least."""
        T = len(self.sizes)
        return min(1 / T, math.sqrt(math.log(T) / (T * max(turn, 1)))) if T > 1 else 1.0

    def __call__(self, progress: Progress) -> Tensor:
        """Shares that sum to 1."""
        turn = int(self.turns) + 1
        if turn <= self.warmup:
            return self.counts
        least = self.explore(turn)
        return (1 - len(self.sizes) * least) * torch.softmax(self.explore(turn - 1) * self.rewards, 0) + least

    def observe(self, feedback: Feedback) -> None:
        """Average the rewards of the tasks that took part."""
        self.turns = self.turns + 1
        self.first = torch.where(self.first.isnan(), feedback.losses, self.first)
        losses = feedback.losses / self.first if self.relative else feedback.losses
        rewards = self.memory * self.rewards + (1 - self.memory) * losses / feedback.rates
        self.rewards = torch.where(rewards.isfinite(), rewards, self.rewards)
