"""UniMax: as uniform as can be without repeating small tasks too often (Chung et al. 2023, algorithm 1)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.strategies.switching.feedback import Progress
from mtl.strategies.switching.rate.base import Rate


class UniMax(Rate):
    """From the smallest task up, each gets an equal part of the rows that are left, and `epochs` passes at most.

    Where all tasks together can't fill the run at `epochs` passes, they are repeated as often as each other.

    Args:
        sizes: training rows of each task.
        epochs: N, the passes over a task at most (paper: 1, 5 and 10).
    """

    def __init__(self, sizes: Mapping[str, int], epochs: float = 5.0) -> None:
        super().__init__(sizes)
        if not epochs > 0:
            raise ValueError(f"`epochs` should be positive. Found {epochs}")
        self.epochs = epochs

    def __call__(self, progress: Progress) -> Tensor:
        """Rows of each task in the whole run; ValueError where the run's rows are not known."""
        if progress.rows is None:
            raise ValueError("`rate` plans the rows of the whole run: its length should be in steps or rows")
        left, rows = float(progress.rows), self.alike(0.0)
        order = torch.argsort(self.counts, stable=True).tolist()
        for place, task in enumerate(order):
            rows[task] = min(left / (len(order) - place), self.epochs * float(self.counts[task]))
            left -= float(rows[task])
        return rows
