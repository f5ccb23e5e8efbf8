"""Each loss in units of its own beginning: L / L(0), the loss ratios of GradNorm (Chen et al. 2018, section 3)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.strategies.transform.base import Transform


class InitialUnits(Transform):
    """t(L) = L / L(0), with L(0) the task's mean loss over its first `steps` steps (so far, while they last).

    Nothing is taken off: a constant changes no gradient, and losses above zero stay above zero for those weightings
    that need it. A task whose beginning is not above zero has no unit: nan, which names the task.

    Args:
        tasks: the run's tasks and their kinds.
        steps: of a task that make its beginning.

    """

    sums: Tensor
    counts: Tensor

    def __init__(self, tasks: Mapping[str, str], steps: int = 1) -> None:
        super().__init__(tasks)
        if steps < 1:
            raise ValueError(f"`steps` should be at least 1. Found {steps}")
        self.steps = steps
        self.register_buffer("sums", torch.zeros(self.num_tasks))
        self.register_buffer("counts", torch.zeros(self.num_tasks))

    def forward(self, tasks: Tensor, losses: Tensor) -> Tensor:
        """K ratios, after a task's first steps took note of the loss."""
        begins = (self.counts[tasks] < self.steps) & losses.detach().isfinite()
        self.sums[tasks] += torch.where(begins, losses.detach().float(), 0.0)
        self.counts[tasks] += begins.float()
        units = self.sums[tasks] / self.counts[tasks]
        return losses / torch.where(units > 0, units, torch.nan).to(losses)
