"""The parts of an optimiser's next step: what its first moment brings, and what a gradient does."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mtl.functional.switch_affinity import fresh_adam, stale_adam


def stale_step(optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> list[Tensor] | None:
    """The next step of each parameter if its gradient were zero, without weight decay.

    Known for Adam's kind (`exp_avg`, `exp_avg_sq`) and for SGD with momentum. `None` where none has a first moment.
    """
    found, any_moment = [], False
    for parameter in parameters:
        state, group = optimizer.state.get(parameter, {}), _group(optimizer, parameter)
        step = None
        if _is_adam(state, parameter):
            moments = state["exp_avg"], state["exp_avg_sq"]
            step = stale_adam(*moments, float(state["step"]), float(group["lr"]), group["betas"], group["eps"])
        elif (buffer := state.get("momentum_buffer")) is not None:
            step = buffer * (-float(group["lr"]) * group["momentum"] ** (2 if group["nesterov"] else 1))
        any_moment = any_moment or step is not None
        found.append(torch.zeros_like(parameter) if step is None else step)
    return found if any_moment else None


def fresh_step(optimizer: torch.optim.Optimizer, parameter: Tensor, gradient: Tensor) -> Tensor:
    """What a gradient brings to the next step, as something to subtract: rate * g, or `fresh_adam` for Adam's kind."""
    state, group = optimizer.state.get(parameter, {}), _group(optimizer, parameter)
    rate = float(group["lr"])
    if not _is_adam(state, parameter):
        return rate * gradient
    return fresh_adam(gradient, state["exp_avg_sq"], float(state["step"]), rate, group["betas"], group["eps"])


def fresh_steps(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[Tensor],
    gradients: Sequence[Sequence[Tensor]],
    weights: Sequence[float],
) -> list[list[Tensor]]:
    """`fresh_step` of each task's gradient, times its weight, at each parameter."""
    return [
        [fresh_step(optimizer, parameter, weight * part) for parameter, part in zip(parameters, parts, strict=True)]
        for parts, weight in zip(gradients, weights, strict=True)
    ]


def _is_adam(state: Any, parameter: Tensor) -> bool:
    moments = ("exp_avg", "exp_avg_sq")
    return "step" in state and all(name in state and state[name].shape == parameter.shape for name in moments)


def _group(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Any]:
    groups = (group for group in optimizer.param_groups if any(parameter is one for one in group["params"]))
    return next(groups, optimizer.param_groups[0])
