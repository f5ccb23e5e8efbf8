"""Losses and weights of each step, kept in one tensor until somebody asks: a `self.log` a value costs 0.3 ms a step."""

import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.data.batch import Batch


class StepLog:
    """A buffer of `capacity` steps of T losses and T weights; nan where a task was absent."""

    def __init__(self, tasks: Sequence[str], capacity: int = 1) -> None:
        self.tasks = list(tasks)
        self.rows: Counter[str] = Counter(dict.fromkeys(tasks, 0))
        """Rows of each task that went through a step."""
        self.resize(capacity)

    def resize(self, capacity: int) -> None:
        """Forget what is kept and keep `capacity` steps from now on."""
        self._losses = torch.full((capacity, len(self.tasks)), torch.nan)
        self._weights = torch.full((capacity, len(self.tasks)), torch.nan)
        self._filled = 0

    @property
    def full(self) -> bool:
        """Whether the next step would find no room."""
        return self._filled == len(self._losses)

    def add(self, batch: Batch, losses: Tensor, weights: Tensor) -> None:
        """Keep the K losses and weights of a step; the oldest steps go where nobody took them."""
        if self.full:
            self._filled = 0
        if self._losses.device != losses.device:
            self._losses, self._weights = self._losses.to(losses.device), self._weights.to(losses.device)
        places = [self.tasks.index(name) for name in batch.tasks]
        for kept, values in ((self._losses, losses), (self._weights, weights)):
            kept[self._filled] = torch.nan
            kept[self._filled, places] = values
        self._filled += 1
        for name, rows in batch.tasks.items():
            self.rows[name] += len(rows.targets)

    def take(self) -> dict[str, tuple[float, float]]:
        """(loss, weight) of each task that took part: the means over the steps kept, which are forgotten then."""
        losses = self._losses[: self._filled].nanmean(0).tolist()
        weights = self._weights[: self._filled].nanmean(0).tolist()
        self._filled = 0
        means = zip(self.tasks, losses, weights, strict=True)
        return {name: (loss, weight) for name, loss, weight in means if not math.isnan(weight)}
