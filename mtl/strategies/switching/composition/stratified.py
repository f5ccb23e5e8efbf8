"""Fixed counts of every task in each step."""

import torch
from torch import Tensor

from mtl.strategies.switching.composition.mixed import Mixed
from mtl.strategies.switching.order.base import Order

GOLDEN = (5**0.5 - 1) / 2


class Stratified(Mixed):
    """As `mixed`, but each step has each task's share of its rows, give or take one row.

    An order that only interleaves (joint, round robin, shuffled) has nothing to decide within such a step; one with
    phases (curriculum, sequential) decides which tasks are there.
    """

    def deal(self, rates: Tensor, steps: int, order: Order, generator: torch.Generator) -> Tensor:
        """Each step alike, unless the order has visits or phases."""
        if order.visits or not order.interleaves:
            return super().deal(rates, steps, order, generator)
        return level(self.quota.draw(rates, steps * self.rows), steps)


def level(counts: Tensor, steps: int) -> Tensor:
    """T counts, whose sum `steps` divides, over steps of equal size: each entry is its mean, rounded down or up.

    What rounding down leaves is given out one task after another, wrapped around the steps (McNaughton 1959): a task
    has at most one such row a step, and each step as many as the next. Multiples of the golden ratio say which step is
    next, so that a task's rows are spread over the block.
    """
    whole = counts // steps
    labels = torch.repeat_interleave(torch.arange(len(counts)), counts - whole * steps)
    turns = (torch.arange(steps, dtype=torch.float64) * GOLDEN).frac().argsort().argsort()
    table = whole.repeat(steps, 1)
    table[turns.repeat(len(labels) // steps), labels] += 1
    return table
