"""A task whose loss or gradient is not finite: named, or left out of the step. Weights are found in full precision."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from mtl.errors import MtlError
from mtl.strategies.weighting.base import Signals

OnNan = Literal["stop", "skip"]


def exact(losses: Tensor) -> torch.autocast:
    """What runs in it keeps its precision: a step's autocast is for the model, not for Gramians and solvers."""
    return torch.autocast(losses.device.type, enabled=False)


def sound(what: str, told: Signals, values: Tensor, names: Sequence[str], on_nan: OnNan) -> list[int]:
    """Places of the tasks whose value is finite.

    Args:
        what: `loss` or `gradient`, for the message.
        told: the step.
        values: K numbers.
        names: of the K tasks.
        on_nan: `stop` or `skip`.

    Raises:
        MtlError: one is not, and `on_nan` is `stop`.
    """
    fine = values.isfinite()
    if bool(fine.all()):
        return list(range(len(names)))
    kept = fine.nonzero().flatten().tolist()
    if on_nan == "skip":
        return kept
    place = next(place for place in range(len(names)) if place not in kept)
    found = "nan or infinite" if what == "gradient" else f"{float(values[place])}"
    if what == "loss" and told.plain is not None:
        found = f"{found} after the transform (before it: {float(told.plain[place]):.6g})"
    raise MtlError(
        f"task {names[place]}: the {what} is {found} in step {told.step}; "
        "on_nan=skip leaves such a task out of the step and counts it"
    )


def usable(weights: Tensor, told: Signals, names: Sequence[str], weighting: str) -> None:
    """Stop where a weight is not finite, before it makes the whole model so.

    Raises:
        MtlError: one is not, as for a loss below zero under a weighting that takes logarithms.
    """
    fine = weights.detach().isfinite()
    if bool(fine.all()):
        return
    seen = ", ".join(f"{name} {loss:.6g}" for name, loss in zip(names, told.losses.tolist(), strict=True))
    raise MtlError(
        f"{weighting} has no finite weight for task {names[int(fine.int().argmin())]} in step {told.step}. "
        f"The losses that it weighs: {seen}"
    )
