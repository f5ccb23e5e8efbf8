"""AdaTask (Yang et al. 2023): Adam with moments for each task at every shared parameter."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

OWN = -1
"""The place of a parameter's own moments, where no task's share is known: a head's, or a weighting's own."""


class AdaTask(Optimizer):
    """p <- p - lr sum_i m_i / (sqrt(v_i) + eps) over the tasks of the step; m_i and v_i are moments of task i alone.

    A task with small gradients then moves a shared parameter as far as one with large gradients (the paper's remedy for
    dominance). The gradient of task i is that of its weighted loss, as in the paper; Adam takes constant weights out of
    it again. What belongs to one task is moved by plain Adam. A task that is absent from a step keeps its moments, and
    counts its own steps; the authors' code has one count for all. Weight decay is decoupled, as in AdamW, and of what
    has a gradient only; their code has none.

    Args:
        params: parameters or groups of them.
        lr: step size.
        betas: decay of the moments.
        eps: in the denominator.
        weight_decay: decoupled.

    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if lr < 0 or eps < 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in betas):
            found = f"{lr}, {eps}, {weight_decay}, {betas}"
            raise ValueError(f"`lr`, `eps`, `weight_decay` >= 0 and 0 <= `betas` < 1 should hold. Found {found}")
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})
        self.per_task: dict[Tensor, list[tuple[int, Tensor]]] = {}
        """Of the coming step: for a shared parameter, the place in the run and the gradient of each task."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                for place, gradient in self.per_task.get(parameter, [(OWN, parameter.grad)]):
                    self._move(parameter, place, gradient, group)
        self.per_task.clear()
        return loss

    def _move(self, parameter: Tensor, place: int, gradient: Tensor, group: dict[str, Any]) -> None:
        moments = self.state[parameter].setdefault(place, {})
        if not moments:
            moments |= {"step": 0, "first": torch.zeros_like(parameter), "second": torch.zeros_like(parameter)}
        moments["step"] += 1
        beta1, beta2 = group["betas"]
        first = moments["first"].lerp_(gradient, 1 - beta1)
        second = moments["second"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        width = (second / (1 - beta2 ** moments["step"])).sqrt_().add_(group["eps"])
        parameter.addcdiv_(first, width, value=-group["lr"] / (1 - beta1 ** moments["step"]))
