"""The question every rate answers: how much of the next block should each task have?"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from mtl.strategies.switching.feedback import Feedback, Progress


class Rate(ABC):
    """T non-negative numbers a block, made to sum to 1 by the plan.

    Args:
        sizes: training rows of each task of the run, in its order.
    """

    adaptive: ClassVar[bool] = False
    """It learns from feedback; else the rates of the whole run are known in advance."""
    needs_baselines: ClassVar[bool] = False
    """It compares with single-task runs, whose validation scores `baselines` receives before training."""
    needs_gramian: ClassVar[bool] = False
    """It learns from inner products of task gradients."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = dict(sizes)

    @abstractmethod
    def __call__(self, progress: Progress) -> Tensor:
        """T shares, not necessarily summing to 1."""

    def observe(self, feedback: Feedback) -> None:  # noqa: B027  most rates have nothing to learn
        """Learn from a block."""

    def baselines(self, scores: Mapping[str, float]) -> None:  # noqa: B027
        """Validation scores of the single-task runs, higher is better."""

    def state_dict(self) -> dict[str, Any]:
        """What it has learned: every tensor attribute."""
        return {name: value.clone() for name, value in vars(self).items() if torch.is_tensor(value)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        for name, value in state.items():
            setattr(self, name, value.clone())

    @property
    def counts(self) -> Tensor:
        """T training rows (float64)."""
        return torch.tensor(list(self.sizes.values()), dtype=torch.float64)

    def alike(self, value: float = 1.0) -> Tensor:
        """T equal numbers (float64)."""
        return torch.full((len(self.sizes),), value, dtype=torch.float64)


def known(values: Tensor, before: Tensor) -> Tensor:
    """The values, and where they are nan (a task took no part) those known before."""
    return torch.where(values.isnan(), before, values)


def given(name: str, values: Mapping[str, float], sizes: Mapping[str, int]) -> Tensor:
    """Numbers that a user gave, one a task, as T numbers (float64); ValueError names what is wrong with them."""
    if set(values) != set(sizes):
        raise ValueError(f"`{name}` should have each of {', '.join(sizes)}. Found {', '.join(values) or 'none'}")
    found = torch.tensor([float(values[task]) for task in sizes], dtype=torch.float64)
    if not bool((found.isfinite() & (found >= 0)).all()) or not bool(found.sum() > 0):
        raise ValueError(f"`{name}` should be finite numbers >= 0, not all 0. Found {dict(values)}")
    return found
