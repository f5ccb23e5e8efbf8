"""Round robin: task 1, 2, ..., T, 1, ..."""

import torch
from torch import Tensor

from mtl.strategies.switching.order.base import Order


class RoundRobin(Order):
    """One unit of each task in turn; a task that has used up its units of the block is passed over."""

    def keys(self, counts: list[int], generator: torch.Generator) -> list[Tensor]:
        """The round of each unit."""
        return [torch.arange(count, dtype=torch.float64) for count in counts]
