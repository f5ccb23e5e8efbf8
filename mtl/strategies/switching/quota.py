"""Whole numbers that follow fractions: what each task gets in a block, with what rounding took given back later."""

from typing import Any

import torch
from torch import Tensor

CLOSE = 1e-9


class Quota:
    """Counts of T tasks over blocks. With constant rates each count stays less than one unit away from its share.

    A block first gives each task what its share comes to in whole units. The units that are left go, one each at
    most, to the tasks that would be owed a whole unit soonest (earliest deadline first; Liu and Layland 1973, with
    the release times of Baruah et al. 1996). Drawing each unit at random, as usual, has the same mean and more noise.
    """

    def __init__(self, num_tasks: int) -> None:
        self.owed = torch.zeros(num_tasks, dtype=torch.float64)
        """T shares up to now, less the units given."""

    def draw(self, rates: Tensor, units: int) -> Tensor:
        """T counts (long) that sum to `units`.

        Args:
            rates: T shares that sum to 1.
            units: of this block.
        """
        share = rates * units
        owed = self.owed + share
        counts = (owed + CLOSE).floor().clamp(min=0)
        rest = owed - counts
        left = units - int(counts.sum())
        if left > 0:
            # blocks until a whole unit is owed; never for a task that is not behind, or whose rate is zero
            wait = torch.where(share > 0, ((1 - rest - CLOSE) / share).ceil(), torch.inf)
            wait = torch.where(rest > CLOSE, wait, wait + 1e12)
            # stable sorts: by how far behind, then by deadline
            order = torch.argsort(-rest, stable=True)
            order = order[torch.argsort(wait[order], stable=True)]
            order = torch.cat([order[share[order] > 0], order[share[order] <= 0]])
            counts[order[:left]] += 1
        for _ in range(-left):
            # rates that moved can owe more whole units than there are: the task that is least behind waits
            able = torch.where(counts > 0, owed - counts, torch.inf)
            counts[able.argmin()] -= 1
        self.owed = owed - counts
        return counts.long()

    def state_dict(self) -> dict[str, Any]:
        """What is owed."""
        return {"owed": self.owed.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.owed = state["owed"].clone()
