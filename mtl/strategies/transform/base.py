"""The question every transform answers: in which unit is a task's loss weighed?"""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Transform(nn.Module):
    """A map from each of K losses to the loss that is weighed in its place; combines with any weighting.

    All that follows sees the new losses alone: the weighting's signals, its learned parameters, and through the slopes
    D = dt/dL the gradients, so that the Gramian is D G D and a head learns from its own new loss. The record keeps the
    losses as they were measured, and the weights that act on those: w_i D_i.
    """

    def __init__(self, tasks: Mapping[str, str]) -> None:
        super().__init__()
        self.num_tasks = len(tasks)

    @abstractmethod
    def forward(self, tasks: Tensor, losses: Tensor) -> Tensor:
        """K losses of the run's tasks at K positions to K new ones, each from its own alone; differentiable.

        Called once a step; nan where a loss has no new value.
        """

    def slopes(self, tasks: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """K new losses and their slopes in the K old ones, both without graph."""
        with torch.enable_grad():
            leaf = losses.detach().requires_grad_()
            values = self(tasks, leaf)
            (slopes,) = torch.autograd.grad(values.sum(), leaf)
        return values.detach(), slopes
