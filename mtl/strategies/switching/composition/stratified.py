"""Fixed counts of every task in each step."""

import torch
from torch import Tensor

from mtl.strategies.switching.composition.mixed import Mixed
from mtl.strategies.switching.order.base import Order, evenly


class Stratified(Mixed):
    """As `mixed`, but each step has each task's share of its rows, give or take one row.

    An order that only interleaves (joint, round robin, shuffled) has nothing to decide within such a step; one with
    phases (curriculum, sequential) decides which tasks are there.
    """

    def row_keys(self, counts: list[int], order: Order, generator: torch.Generator) -> list[Tensor]:
        """Evenly spread, unless the order has phases."""
        return evenly(counts) if order.interleaves else super().row_keys(counts, order, generator)
