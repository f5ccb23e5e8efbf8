"""Mean losses of whole epochs, for weightings that look back."""

import torch
from torch import Tensor, nn

from mtl.strategies.weighting.base import Signals


class EpochMeans(nn.Module):
    """Mean loss of each of T tasks in its last finished epoch and in the one before; nan where there is none.

    An epoch in which a task took no part doesn't count for it.
    """

    epoch: Tensor
    sums: Tensor
    counts: Tensor
    last: Tensor
    before: Tensor

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))
        self.register_buffer("sums", torch.zeros(tasks))
        self.register_buffer("counts", torch.zeros(tasks))
        self.register_buffer("last", torch.full((tasks,), torch.nan))
        self.register_buffer("before", torch.full((tasks,), torch.nan))

    def update(self, signals: Signals) -> None:
        """Close the epoch if a new one has begun, then take note of the step's losses."""
        begun = self.epoch < signals.epoch
        closed = begun & (self.counts > 0)
        self.before = torch.where(closed, self.last, self.before)
        self.last = torch.where(closed, self.sums / self.counts, self.last)
        self.sums, self.counts = torch.where(begun, 0.0, self.sums), torch.where(begun, 0.0, self.counts)
        self.epoch = self.epoch.clamp(min=signals.epoch)
        self.sums[signals.tasks] += signals.losses.float()
        self.counts[signals.tasks] += 1


class Reference(nn.Module):
    """Mean loss of each of T tasks in one chosen epoch, the yardstick of later ones; nan for a task it missed."""

    sums: Tensor
    counts: Tensor

    def __init__(self, tasks: int, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch
        self.register_buffer("sums", torch.zeros(tasks))
        self.register_buffer("counts", torch.zeros(tasks))

    def update(self, signals: Signals) -> None:
        """Take note of the step's losses, if the epoch is the chosen one."""
        if signals.epoch == self.epoch:
            self.sums[signals.tasks] += signals.losses.float()
            self.counts[signals.tasks] += 1

    def relative(self, signals: Signals) -> Tensor:
        """The step's K losses in units of the reference; 1 for a task without one."""
        sums, counts = self.sums[signals.tasks], self.counts[signals.tasks]
        return torch.where(counts > 0, signals.losses.float() * counts / sums, 1.0)
