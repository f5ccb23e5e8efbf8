"""What training tells an adaptive rate about the block that ended."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Progress:
    """Where a block begins.

    Args:
        step: optimiser steps before it.
        steps: optimiser steps of the run; `None`: its length is given in another unit.
        rows: rows of the run, all tasks together; `None`: not known in advance.
        used: share of its length that the run has used, where that is not given in steps.
    """

    step: int
    steps: int | None
    rows: int | None
    used: float = 0.0

    @property
    def done(self) -> float:
        """Share of the run that is done, 0 to 1 at its last step."""
        return self.used if self.steps is None else self.step / max(self.steps - 1, 1)

    @property
    def gone(self) -> float:
        """The same, not quite 1 at its last step: by it the run is cut into parts of equal length."""
        return self.used if self.steps is None else self.step / self.steps


@dataclass(frozen=True)
class Feedback:
    """One block of training, T tasks; nan where a task took no part.

    Args:
        rates: T shares that the block was planned with.
        losses: T mean training losses.
        rows: T rows.
        seconds: T seconds of step time; a step of several tasks is shared by their tokens.
        scores: T primary validation scores, higher is better (errors come negated), of the last validation.
        gramian: T x T mean inner products of task gradients, where steps took them.
    """

    rates: Tensor
    losses: Tensor
    rows: Tensor
    seconds: Tensor
    scores: Tensor
    gramian: Tensor | None = field(default=None)


class Tally:
    """Sums over the steps of a block, kept where the losses are, so that no step waits for a device."""

    def __init__(self, num_tasks: int) -> None:
        self.num_tasks = num_tasks
        self.scores = torch.full((num_tasks,), torch.nan, dtype=torch.float64)
        self.clear()

    def clear(self) -> None:
        """Begin a block; scores stay until the next validation."""
        self._losses = torch.zeros(self.num_tasks)
        self._seen = torch.zeros(self.num_tasks)
        self._rows = torch.zeros(self.num_tasks, dtype=torch.float64)
        self._seconds = torch.zeros(self.num_tasks, dtype=torch.float64)
        self._gramian = torch.zeros(self.num_tasks, self.num_tasks)
        self._pairs = torch.zeros(self.num_tasks, self.num_tasks)

    def add(
        self,
        places: Tensor,
        losses: Tensor,
        rows: Tensor,
        seconds: float,
        gramian: Tensor | None = None,
        work: Tensor | None = None,
    ) -> None:
        """A step of K tasks.

        Args:
            places: K positions in the run's list of tasks.
            losses: K losses, detached.
            rows: K rows (float64, CPU).
            seconds: of the step.
            gramian: K x K, where the step took one.
            work: K numbers (float64, CPU) in proportion to which the tasks share the seconds; `None`: the rows.
        """
        work = rows if work is None else work
        if self._losses.device != losses.device:
            self._losses, self._seen = self._losses.to(losses.device), self._seen.to(losses.device)
        self._losses[places] += losses
        self._seen[places] += 1
        here = places.cpu()
        self._rows[here] += rows
        self._seconds[here] += seconds * work / work.sum()
        if gramian is not None:
            self._gramian[here[:, None], here] += gramian.float().cpu()
            self._pairs[here[:, None], here] += 1

    def take(self, rates: Tensor) -> Feedback:
        """The block's means; a new block begins."""
        gramian = self._gramian / self._pairs if bool(self._pairs.all()) else None
        losses = (self._losses / self._seen).double().cpu()
        found = Feedback(rates, losses, self._rows, self._seconds, self.scores.clone(), gramian)
        self.clear()
        return found

    def state_dict(self) -> dict[str, Tensor]:
        """A block half told."""
        return {name.lstrip("_"): value.cpu().clone() for name, value in vars(self).items() if torch.is_tensor(value)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        self.scores = state["scores"].clone()
        for name in ("losses", "seen", "rows", "seconds", "gramian", "pairs"):
            setattr(self, f"_{name}", state[name].clone())
