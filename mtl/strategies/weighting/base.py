"""The question every weighting answers: given what a step knows, how much does each task count?"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from mtl.strategies.weighting.claims import Claim


@dataclass(frozen=True)
class Signals:
    """What a step knows when it asks for weights. K is the number of tasks *in this step*, not in the run.

    Args:
        tasks: K positions of the step's tasks in the run's list of tasks (long).
        losses: K task losses, detached, after the transform where there is one.
        step: optimiser steps taken so far.
        total_steps: optimiser steps the run will take; `None`: its length is given in another unit.
        epoch: passes over the largest task so far.
        gramian: K x K inner products of the task gradients, where the weighting `needs_gramian`.
        jacobian: K x N, the task gradients themselves, where the weighting `needs_jacobian`.
        plain: K losses before the transform; `None`: there is no transform.
        slopes: K slopes of the transform, by which all gradients are multiplied; `None`: there is no transform.
        used: share of the run's length that was used before this step, where that is not given in steps.

    """

    tasks: Tensor
    losses: Tensor
    step: int = 0
    total_steps: int | None = 1
    epoch: int = 0
    gramian: Tensor | None = None
    jacobian: Tensor | None = None
    plain: Tensor | None = None
    slopes: Tensor | None = None
    used: float = 0.0

    @property
    def done(self) -> float:
        """Share of the run that is done, 0 to 1 at its last step."""
        gone = self.used if self.total_steps is None else self.step / max(self.total_steps - 1, 1)
        return min(gone, 1.0)

    def require_gramian(self) -> Tensor:
        """The Gramian, for those that cannot do without."""
        if self.gramian is None:
            raise ValueError("This weighting needs the Gramian of the task gradients. Found none in the signals")
        return self.gramian

    def require_jacobian(self) -> Tensor:
        """The Jacobian, for those that the Gramian is not enough for."""
        if self.jacobian is None:
            raise ValueError("This weighting needs the task gradients themselves. Found none in the signals")
        return self.jacobian

    def subset(self, kept: Sequence[int]) -> "Signals":
        """Those of some of the K tasks, by place in the step."""
        index = torch.tensor(kept, dtype=torch.long, device=self.losses.device)
        cut = {name: getattr(self, name) for name in ("tasks", "losses", "jacobian", "plain", "slopes")}
        cut = {name: value if value is None else value[index] for name, value in cut.items()}
        gramian = None if self.gramian is None else self.gramian[index][:, index]
        return replace(self, gramian=gramian, **cut)


class Weighting(nn.Module):
    """A map from `Signals` to K weights; the total loss of the step is `(weights * losses).sum() + penalty`.

    A subclass is final: it is never subclassed again. Its constructor takes the run's tasks first, as a mapping
    from name to kind (`classification`, `multilabel`, `regression`, `tagging`) in the order of the run; then its own
    typed options with the paper's defaults. Whatever it remembers is a buffer or a parameter of the size of the run,
    so that a checkpoint holds it. Weights may carry gradient to the weighting's own parameters; losses never do.
    """

    claims: ClassVar[frozenset[Claim]] = frozenset()
    """What holds for its default options; a test holds it to it."""
    scale: ClassVar[Literal["sum", "mean"]] = "mean"
    """Whether the weights of K alike tasks come to K in total (`sum`) or to 1 (`mean`)."""
    needs_gramian: bool = False
    needs_jacobian: bool = False
    """Whether it combines the gradients themselves, with `combine`; it `needs_gramian` too, for the record."""
    same_coordinates: bool = False
    """Whether coordinates of the Jacobian should mean the same in every step, as parameters do and features don't."""
    learning_rate: float | None = None
    """Of the weighting's own parameters; `None`: the model's."""
    fallbacks: Tensor
    """Steps in which the solver found no weights, and the last or equal ones took their place."""
    last: Tensor
    """T weights of the last solution; nan for a task without one. Of those that fall back on it."""

    def __init__(self, tasks: Mapping[str, str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.kinds = tuple(tasks.values())
        self.register_buffer("fallbacks", torch.zeros((), dtype=torch.long))

    @property
    def name(self) -> str:
        """For messages."""
        return type(self).__name__

    def forward(self, signals: Signals) -> Tensor:
        """K weights, in the order of `signals.tasks`."""
        return self.combine(signals)[0]

    def combine(self, signals: Signals) -> tuple[Tensor, Tensor]:
        """For one that `needs_jacobian`: K weights, and the direction of N coordinates that what is shared goes by.

        Where the direction is no weighted sum of the gradients, a weight is the share of the task's gradient g that is
        in it: c.g / g.g, with c what the task adds to the direction (1 for a gradient of zero under a sum).
        """
        raise NotImplementedError

    def penalty(self, signals: Signals) -> Tensor:
        """What the weighting adds to the total loss (scalar): zero, unless its weights are learned and regularised."""
        return torch.zeros((), device=signals.losses.device)

    def wants_gramian(self, step: int) -> bool:
        """Whether this very step needs the Gramian: always or never, unless old weights are kept for some steps."""
        return self.needs_gramian

    def coming_preference(self) -> Tensor | None:
        """T numbers that a conditioned model is told before the coming step; `None`: nothing."""
        return None

    def total(self, tasks: int) -> float:
        """What the weights of `tasks` alike tasks of a step come to."""
        return float(tasks) if self.scale == "sum" else 1.0

    def or_last(self, signals: Signals, weights: Tensor) -> Tensor:
        """The K weights; where a solver found none (nan), the last ones it found for these tasks, as the authors' codes
        do: counted. Before there are any, equal ones, with a warning once a run.
        """
        if bool(weights.isfinite().all()):
            self.last[signals.tasks] = weights.to(self.last)
            return weights
        last = self.last[signals.tasks].to(weights)
        return self._counted("those of its last solution, equal ones before there was one", weights, last)

    def or_equal(self, weights: Tensor) -> Tensor:
        """The K weights; where a solver found none (nan), equal ones instead: counted, and warned about once a run."""
        if bool(weights.isfinite().all()):
            return weights
        return self._counted("equal ones", weights, weights)

    def _counted(self, what: str, weights: Tensor, instead: Tensor) -> Tensor:
        if not self.fallbacks:
            warnings.warn(f"{self.name} found no weights in a step and took {what}", stacklevel=3)
        self.fallbacks += 1
        if bool(instead.isfinite().all()):
            return instead
        return torch.full_like(weights, 1.0 if self.scale == "sum" else 1 / len(weights))
