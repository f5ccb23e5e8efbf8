"""A random order with exact counts."""

import torch
from torch import Tensor

from mtl.strategies.switching.order.base import Order


class Shuffled(Order):
    """The units of each block in an order drawn by the seed, anew in each block."""

    def keys(self, counts: list[int], generator: torch.Generator) -> list[Tensor]:
        """Uniform random numbers."""
        return [torch.rand(count, dtype=torch.float64, generator=generator) for count in counts]
