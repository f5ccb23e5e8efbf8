"""As many seconds for every task, or for every unit of its importance (ours): cheap tasks get more rows."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.strategies.switching.feedback import Feedback, Progress
from mtl.strategies.switching.rate.base import Rate, given


class EqualCost(Rate):
    """p_i ~ importance_i / c_i, c_i the seconds of a row of task i as measured so far.

    Where tasks share steps, a step's seconds are split by tokens, so a task of long texts counts as dear. Seconds are
    measured: two runs differ; the state goes on exactly, the future of a resumed run need not.

    Args:
        sizes: training rows of each task.
        importance: a number a task; by default equal.
    """

    adaptive = True

    def __init__(self, sizes: Mapping[str, int], importance: Mapping[str, float] | None = None) -> None:
        super().__init__(sizes)
        self.importance = self.alike() if importance is None else given("importance", importance, sizes)
        self.seconds, self.rows = self.alike(0.0), self.alike(0.0)

    def observe(self, feedback: Feedback) -> None:
        """Add up seconds and rows."""
        self.seconds, self.rows = self.seconds + feedback.seconds, self.rows + feedback.rows

    def __call__(self, progress: Progress) -> Tensor:
        """By importance alone until every task that has some was measured."""
        unknown = (self.importance > 0) & (self.seconds * self.rows == 0)
        if bool(unknown.any()):
            return self.importance
        return torch.where(self.importance > 0, self.importance * self.rows / self.seconds, 0.0)
