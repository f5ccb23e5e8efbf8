"""The question every order answers: in what order do the units of a block come?"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor


class Order(ABC):
    """A key for each unit: units come by ascending key, equal keys by the order of the tasks.

    A unit is what a composition deals in: a step of one task or group, or a row.

    Args:
        names: the tasks, or groups of tasks, of the run.
        sizes: training rows of each.
    """

    whole_run: ClassVar[bool] = False
    """The order spans the run: it is planned as one block, and an adaptive rate is asked once."""
    interleaves: ClassVar[bool] = True
    """It only mixes tasks, and has no phases that a stratified step should respect."""
    visits: ClassVar[bool] = False
    """Its unit is a visit of `length` steps to one task, whatever the composition."""
    length: int = 1

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = dict(sizes)

    @abstractmethod
    def keys(self, counts: list[int], generator: torch.Generator) -> list[Tensor]:
        """T tensors of keys (float64), as long as each task's count."""


def evenly(counts: list[int]) -> list[Tensor]:
    """Keys that spread each task's units evenly over the block."""
    return [(torch.arange(count, dtype=torch.float64) + 0.5) / max(count, 1) for count in counts]


def arrange(keys: list[Tensor]) -> Tensor:
    """Which task each unit of the block belongs to (long), in the order that the keys say."""
    labels = torch.repeat_interleave(torch.arange(len(keys)), torch.tensor([len(key) for key in keys]))
    return labels[torch.argsort(torch.cat(keys), stable=True)]
