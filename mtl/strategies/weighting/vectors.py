"""Weight vectors as a user writes them: by task name, in the order of the tasks, or as one leading task."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Weights = Mapping[str, float] | Sequence[float]


def vector(tasks: Sequence[str], weights: Weights, field: str = "weights") -> Tensor:
    """T weights in the order of the tasks; `field` is what the user calls them.

    Raises:
        ValueError: a task without a weight, a weight for a task that is not in the run, a wrong number of weights, a
            weight that is negative or not finite, or no weight above zero.

    """
    if isinstance(weights, Mapping):
        if unknown := [name for name in weights if name not in tasks]:
            raise ValueError(f"`{field}` should name tasks of the run: {', '.join(tasks)}. Found '{unknown[0]}'")
        if missing := [name for name in tasks if name not in weights]:
            raise ValueError(f"`{field}` should name every task of the run. Missing: {', '.join(missing)}")
        values = [weights[name] for name in tasks]
    else:
        values = list(weights)
        if len(values) != len(tasks):
            raise ValueError(
                f"`{field}` should be one number a task ({', '.join(tasks)}). "
                f"Found {len(values)} for {len(tasks)}: {values}"
            )
    for name, value in zip(tasks, values, strict=True):
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"`{field}` should be finite and not negative. Found {value} for task '{name}'")
    if not any(values):
        raise ValueError(f"`{field}` should have one above zero. Found all zero")
    return torch.tensor(values, dtype=torch.float32)


def leading(tasks: Sequence[str], leader: int, share: float) -> Tensor:
    """`share` for one task, the rest in equal parts for the others: the article's 0.8 / 0.2, for T tasks."""
    if not 0 <= share <= 1:
        raise ValueError(f"`lead` should be from 0 to 1. Found {share}")
    T = len(tasks)
    if T == 1:
        return torch.ones(1)
    weights = torch.full((T,), (1 - share) / (T - 1))
    weights[leader] = share
    return weights


def simplex(tasks: Sequence[str], preference: Weights | None) -> Tensor:
    """A preference: T numbers that are not negative and come to 1, in the order of the tasks; `None`: equal ones.

    Raises:
        ValueError: as `vector`, or they come to something else (by more than 1e-4).

    """
    if preference is None:
        return torch.full((len(tasks),), 1 / len(tasks))
    found = vector(tasks, preference, "preference")
    total = float(found.sum())
    if abs(total - 1) > 1e-4:
        shown = [round(value, 6) for value in found.tolist()]
        raise ValueError(f"`preference` should come to 1 over the tasks. Found {total:g}: {shown}")
    return found / total
