"""Rows of any tasks in a step: the block has exact counts, a step has what falls into it."""

import torch
from torch import Tensor

from mtl.strategies.switching.composition.base import Composition, visits
from mtl.strategies.switching.order.base import Order, arrange


class Mixed(Composition):
    """T x `batch_size` rows, each with a task of its own; rates are shares of rows.

    With `order=shuffled` a step's counts are random (multivariate hypergeometric) and the block's are exact. An order
    of visits (`blocks`) leaves nothing to mix: a visit's steps have one task.
    """

    @property
    def rows(self) -> int:
        """As many as a joint step has."""
        return self.batch_size * len(self.sizes)

    def deal(self, rates: Tensor, steps: int, order: Order, generator: torch.Generator) -> Tensor:
        """The block's rows in a line, cut into steps."""
        if order.visits:
            labels = visits(self.quota, rates, steps, order, generator).repeat_interleave(self.rows)
        else:
            counts = self.quota.draw(rates, steps * self.rows).tolist()
            labels = arrange(order.keys(counts, generator))
        return cut(labels, steps, len(self.sizes))


def cut(labels: Tensor, steps: int, num_tasks: int) -> Tensor:
    """Counts of each task in steps of equal size (steps x T, long), from the task of each row."""
    at = torch.arange(steps).repeat_interleave(len(labels) // steps) * num_tasks + labels
    return torch.bincount(at, minlength=steps * num_tasks).view(steps, num_tasks)
