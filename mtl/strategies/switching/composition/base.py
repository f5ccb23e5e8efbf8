"""The question every composition answers: what stands together in one step?"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mtl.strategies.switching.order.base import Order, arrange
from mtl.strategies.switching.quota import Quota


class Composition(ABC):
    """Deals the units of a block into its steps.

    Args:
        sizes: training rows of each task.
        batch_size: rows of each task in a step that all tasks share alike.
    """

    def __init__(self, sizes: Mapping[str, int], batch_size: int) -> None:
        self.sizes, self.batch_size = dict(sizes), batch_size
        self.quota = Quota(len(self.names))

    @property
    def names(self) -> dict[str, int]:
        """What an order arranges, with its training rows: the tasks, or groups of them."""
        return self.sizes

    @property
    @abstractmethod
    def rows(self) -> int:
        """Rows of a step."""

    @property
    def steady(self) -> bool:
        """Whether each step has just as many."""
        return True

    @abstractmethod
    def deal(self, rates: Tensor, steps: int, order: Order, generator: torch.Generator) -> Tensor:
        """Rows of each task in each step of a block, steps x T (long).

        Args:
            rates: T shares that sum to 1.
            steps: of the block.
            order: of its units.
            generator: of the order's random choices.
        """

    def state_dict(self) -> dict[str, Any]:
        """What is owed to whom."""
        return {"quota": self.quota.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.quota.load_state_dict(state["quota"])


def visits(quota: Quota, rates: Tensor, steps: int, order: Order, generator: torch.Generator) -> Tensor:
    """What each step of a block belongs to (long): whole visits of `order.length` steps, the last one cut short."""
    counts = quota.draw(rates, -(-steps // order.length))
    labels = arrange(order.keys(counts.tolist(), generator))
    return labels.repeat_interleave(order.length)[:steps]
