"""One task a step."""

import torch
from torch import Tensor

from mtl.strategies.switching.composition.base import Composition, visits
from mtl.strategies.switching.order.base import Order


class Homogeneous(Composition):
    """`batch_size` rows of one task; rates are shares of steps. T times the steps of a mixed run see as many rows."""

    @property
    def rows(self) -> int:
        """Those of the one task."""
        return self.batch_size

    def deal(self, rates: Tensor, steps: int, order: Order, generator: torch.Generator) -> Tensor:
        """Each step has one task."""
        labels = visits(self.quota, rates, steps, order, generator)
        table = torch.zeros(steps, len(self.sizes), dtype=torch.long)
        table[torch.arange(steps), labels] = self.batch_size
        return table
