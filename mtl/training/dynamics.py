"""How much tasks conflict under a weighting that doesn't ask: their gradients, looked at now and then."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.errors import MtlError
from mtl.model.multitask import MultiTaskModel
from mtl.training.products import gramian
from mtl.training.where import Where, parameters_at

STEPS_A_TASK = 40
"""Steps between two looks for each task of the run: a backward is some 0.6 of a step, so this costs less than 2 %."""


class Dynamics:
    """The Gramian of a step's task gradients, taken on the graph of the step itself: training is the same to the bit.

    Args:
        model: trunk and heads.
        where: the parameters whose gradients are compared. At `features` there is nothing to see: `None` is due.
        tasks: of the run.
        every: steps between two looks, rounded up to a multiple of `points`; `None`: as many as cost at most 2 %;
            0: never.
        points: steps to a point of the training curves.
    """

    def __init__(self, model: MultiTaskModel, where: Where, tasks: int, every: int | None, points: int) -> None:
        wanted = STEPS_A_TASK * tasks if every is None else every
        self.every = -(-wanted // points) * points
        self._parameters = _trained(model, where) if self.every else []

    def due(self, step: int) -> bool:
        """Whether the step after `step` others is looked at: the last of a point's."""
        return bool(self._parameters) and (step + 1) % self.every == 0

    def gramian(self, losses: Sequence[Tensor]) -> Tensor:
        """K x K inner products of the gradients of K losses. The graph is kept; K backwards, K gradients at once."""

        def gradient(loss: Tensor) -> tuple[Tensor, ...]:
            return torch.autograd.grad(loss, self._parameters, None, True, allow_unused=True, materialize_grads=True)

        return gramian([gradient(loss) for loss in losses])


def _trained(model: MultiTaskModel, where: Where) -> list[Tensor]:
    """The parameters there; none where none train."""
    if where == "features":
        return []
    try:
        return parameters_at(model, where)
    except MtlError:
        return []
