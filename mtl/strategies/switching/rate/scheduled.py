"""Rates as any function of the step (jiant's time-dependent sampling, Levanter's stages)."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.functional.expression import Expression
from mtl.strategies.switching.feedback import Progress
from mtl.strategies.switching.rate.base import Rate

NAMES = ("t", "step", "steps", "n")


class Scheduled(Rate):
    """An expression a task, read once a block: `t` is the share of the run that is done (0 to 1), `n` the task's rows.

    Stages are expressions too: `0.8 if t < 0.5 else 0.2`. `steps`, the run's, has no value (nan) where its length is
    given in another unit; `t` always has one.

    Args:
        sizes: training rows of each task.
        rates: task name to expression or number; by default equal. ValueError where one names something unknown.
    """

    def __init__(self, sizes: Mapping[str, int], rates: Mapping[str, str | float] | None = None) -> None:
        super().__init__(sizes)
        rates = dict.fromkeys(sizes, 1.0) if rates is None else rates
        if set(rates) != set(sizes):
            raise ValueError(f"`rates` should have each of {', '.join(sizes)}. Found {', '.join(rates)}")
        self.rates = [Expression(rates[name], NAMES) for name in sizes]

    def __call__(self, progress: Progress) -> Tensor:
        """The values at this step."""
        steps = math.nan if progress.steps is None else progress.steps
        known = {"t": progress.done, "step": progress.step, "steps": steps}
        pairs = zip(self.rates, self.sizes.values(), strict=True)
        return torch.tensor([rate({**known, "n": size}) for rate, size in pairs], dtype=torch.float64)
