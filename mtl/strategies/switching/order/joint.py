"""No order: every task is there all the time, as evenly as its rate allows."""

import torch
from torch import Tensor

from mtl.strategies.switching.order.base import Order, evenly


class Joint(Order):
    """Each task's units are spread evenly over the block. Deterministic."""

    def keys(self, counts: list[int], generator: torch.Generator) -> list[Tensor]:
        """Unit k of n at (k + 1/2) / n."""
        return evenly(counts)
