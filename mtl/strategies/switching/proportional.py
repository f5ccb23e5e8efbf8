"""Proportional sampling: one task a step, as often as its share of the training rows."""

from collections.abc import Mapping

import torch

from mtl.strategies.switching.base import Switching


class Proportional(Switching):
    """In every block of `block` steps each task has its exact quota of steps, in an order shuffled by the seed.

    What rounding takes from a task in one block it gets in a later one, so after any number of blocks each count is
    less than one step away from steps x N_i / sum N. Drawing each step at random, as usual, has the same mean and more
    noise.
    """

    def __init__(self, sizes: Mapping[str, int], batch_size: int, seed: int = 0, block: int = 100) -> None:
        super().__init__(sizes, batch_size, seed)
        if block < 1:
            raise ValueError(f"`block` should be at least 1. Found {block}")
        self.block = block
        self._counts = [[0] * len(sizes)]
        self._order: tuple[int, list[int]] = (-1, [])

    def _counted(self, blocks: int) -> torch.Tensor:
        """T counts of steps after so many blocks.

        Each step goes to the task that will soonest be a whole step behind its share, of those that are behind at all
        (earliest deadline first: Baruah et al. 1996). The task that is furthest behind, the simpler rule, lets counts
        stray by more than one step from four tasks on.
        """
        sizes, total = list(self.sizes.values()), sum(self.sizes.values())
        while len(self._counts) <= blocks:
            counts = list(self._counts[-1])
            start = (len(self._counts) - 1) * self.block
            for step in range(start + 1, start + self.block + 1):
                behind = [task for task, size in enumerate(sizes) if counts[task] * total < size * step]
                # the deadline in whole steps, rounded up
                counts[min(behind, key=lambda task: -(-(counts[task] + 1) * total // sizes[task]))] += 1
            self._counts.append(counts)
        return torch.tensor(self._counts[blocks])

    def rows(self, step: int) -> dict[str, int]:
        """The task that the block's order has at this step."""
        block, place = divmod(step, self.block)
        if self._order[0] != block:
            quota = self._counted(block + 1) - self._counted(block)
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + block)
            steps = torch.repeat_interleave(torch.arange(len(quota)), quota)
            self._order = (block, steps[torch.randperm(self.block, generator=generator)].tolist())
        return {list(self.sizes)[self._order[1][place]]: self.batch_size}
