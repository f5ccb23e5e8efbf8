"""The question every switching answers: how many rows of which tasks does a step see?"""

from abc import ABC, abstractmethod
from collections.abc import Mapping


class Switching(ABC):
    """A plan: a pure function of (seed, step). The same on every machine, and known before training begins.

    Args:
        sizes: training rows of each task of the run, in its order.
        batch_size: rows of each task that takes part in a step.
        seed: of the plan's own random choices.

    """

    def __init__(self, sizes: Mapping[str, int], batch_size: int, seed: int = 0) -> None:
        if batch_size < 1:
            raise ValueError(f"`batch_size` should be at least 1. Found {batch_size}")
        self.sizes = dict(sizes)
        self.batch_size = batch_size
        self.seed = seed

    @abstractmethod
    def rows(self, step: int) -> dict[str, int]:
        """Rows of each task in this step; tasks that are absent are left out."""
