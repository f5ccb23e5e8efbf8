"""The question every weighting answers: given what a step knows, how much does each task count?"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Signals:
    """What a step knows when it asks for weights. K is the number of tasks *in this step*, not in the run.

    Args:
        tasks: K positions of the step's tasks in the run's list of tasks (long).
        losses: K task losses, detached.
        step: optimiser steps taken so far.
        total_steps: optimiser steps the run will take.
        epoch: passes over the largest task so far.
        gramian: K x K inner products of the task gradients, where the weighting `needs_gramian`.

    """

    tasks: Tensor
    losses: Tensor
    step: int = 0
    total_steps: int = 1
    epoch: int = 0
    gramian: Tensor | None = None


class Weighting(nn.Module):
    """A map from `Signals` to K weights; the total loss of the step is `(weights * losses).sum() + penalty`.

    A subclass is final: it is never subclassed again. Its constructor takes the run's tasks first, as a mapping
    from name to kind (`classification`, `multilabel`, `regression`, `tagging`) in the order of the run; then its own
    typed options with the paper's defaults. Whatever it remembers is a buffer or a parameter of the size of the run,
    so that a checkpoint holds it. Weights may carry gradient to the weighting's own parameters; losses never do.
    """

    needs_gramian: bool = False
    learning_rate: float | None = None
    """Of the weighting's own parameters; `None`: the model's."""

    def __init__(self, tasks: Mapping[str, str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.kinds = tuple(tasks.values())

    @abstractmethod
    def forward(self, signals: Signals) -> Tensor:
        """K weights, in the order of `signals.tasks`."""

    def penalty(self, signals: Signals) -> Tensor:
        """What the weighting adds to the total loss (scalar): zero, unless its weights are learned with a regulariser."""
        return torch.zeros((), device=signals.losses.device)
