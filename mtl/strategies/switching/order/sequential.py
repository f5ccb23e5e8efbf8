"""One task after another, each once: what continual learning studies, and the worst case of forgetting."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mtl.strategies.switching.order.base import Order


def ranking(names: Sequence[str], first_to_last: Sequence[str] | None) -> list[int]:
    """The place of each name in an order given by name; `None`: as they stand."""
    if first_to_last is None:
        return list(range(len(names)))
    if sorted(first_to_last) != sorted(names):
        raise ValueError(f"`tasks` should name each of {', '.join(names)} once. Found {', '.join(first_to_last)}")
    return [list(first_to_last).index(name) for name in names]


class Sequential(Order):
    """All of a task's budget, then all of the next one's.

    Args:
        sizes: training rows of each task.
        tasks: the order; by default that of the run.
    """

    whole_run, interleaves = True, False

    def __init__(self, sizes: Mapping[str, int], tasks: Sequence[str] | None = None) -> None:
        super().__init__(sizes)
        self.places = ranking(list(sizes), tasks)

    def keys(self, counts: list[int], generator: torch.Generator) -> list[Tensor]:
        """The task's place."""
        places = zip(counts, self.places, strict=True)
        return [torch.full((count,), float(place), dtype=torch.float64) for count, place in places]
