"""What an optimiser's memory does by itself: the step that its first moment brings, and how it scales a gradient."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mtl.functional.switch_affinity import stale_adam


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


def scaled(optimizer: torch.optim.Optimizer, parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient as the optimiser scales it: over sqrt(v / (1 - beta2^t)) + eps for Adam's kind, else as it is."""
    state = optimizer.state.get(parameter, {})
    if not _is_adam(state, parameter):
        return gradient
    group = _group(optimizer, parameter)
    return gradient / ((state["exp_avg_sq"] / (1 - group["betas"][1] ** float(state["step"]))).sqrt() + group["eps"])


def _is_adam(state: Any, parameter: Tensor) -> bool:
    moments = ("exp_avg", "exp_avg_sq")
    return "step" in state and all(name in state and state[name].shape == parameter.shape for name in moments)


def _group(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Any]:
    groups = (group for group in optimizer.param_groups if any(parameter is one for one in group["params"]))
    return next(groups, optimizer.param_groups[0])
