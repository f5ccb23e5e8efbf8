"""From easy to hard: tasks join the run one by one (Bengio et al. 2009, with whole tasks as lessons)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.strategies.switching.order.base import Order, evenly


class Curriculum(Order):
    """The easiest task begins alone; the others join in the order of their difficulty and stay to the end.

    A unit k of n of the task that is number r from the easiest comes at s + (1 - s) (k + 1/2) / n, where
    s = ramp r / (T - 1): easy tasks have the beginning to themselves and hard ones more of the end. Over the run each
    has its rate's share.

    Args:
        sizes: training rows of each task.
        difficulty: a number a task, the harder the larger: given, or measured as 1 - the validation score of its
            single-task run (what `measured` receives where none is given).
        ramp: how late the hard tasks join, from 0 (joint) to less than 1 (nearly one after another).
    """

    whole_run, interleaves = True, False

    def __init__(
        self, sizes: Mapping[str, int], difficulty: Mapping[str, float] | None = None, ramp: float = 0.5
    ) -> None:
        super().__init__(sizes)
        if not 0 <= ramp < 1:
            raise ValueError(f"`ramp` should be from 0 to less than 1. Found {ramp}")
        self.ramp = ramp
        self.places: list[int] | None = None
        if difficulty is not None:
            self.measured(difficulty)

    def measured(self, difficulty: Mapping[str, float]) -> None:
        """Take the difficulty of each task; ValueError names tasks without one."""
        if set(difficulty) != set(self.sizes):
            names = ", ".join(self.sizes)
            raise ValueError(f"`difficulty` should have a number for each of {names}. Found {dict(difficulty)}")
        ranked = sorted(self.sizes, key=lambda name: difficulty[name])
        self.places = [ranked.index(name) for name in self.sizes]

    def keys(self, counts: list[int], generator: torch.Generator) -> list[Tensor]:
        """Evenly from the moment the task joins."""
        if self.places is None:
            raise ValueError("`difficulty` is not known: give one number a task, or train the single-task runs first")
        starts = [self.ramp * place / max(len(counts) - 1, 1) for place in self.places]
        return [start + (1 - start) * key for start, key in zip(starts, evenly(counts), strict=True)]
