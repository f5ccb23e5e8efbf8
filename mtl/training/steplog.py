"""Losses and weights of each step, kept in one tensor until somebody asks: a `self.log` a value costs 0.3 ms a step."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class StepLog:
    """A buffer of `capacity` steps of T losses and T weights, and which tasks were there."""

    def __init__(self, tasks: Sequence[str], capacity: int = 1) -> None:
        self.tasks = list(tasks)
        self.rows: Counter[str] = Counter(dict.fromkeys(tasks, 0))
        """Rows of each task that went through a step."""
        self.latest = torch.full((len(self.tasks),), torch.nan)
        """T weights, each from the last step that had the task; nan before there was one."""
        self._make(capacity)

    def resize(self, capacity: int) -> None:
        """Keep `capacity` steps from now on; what was kept of fewer or more is forgotten."""
        if capacity == len(self._losses):
            return
        self._make(capacity)

    def _make(self, capacity: int) -> None:
        self._losses, self._weights = torch.zeros(2, capacity, len(self.tasks))
        self._present = torch.zeros(capacity, len(self.tasks), dtype=torch.bool)
        self._filled = 0

    @property
    def full(self) -> bool:
        """Whether the next step would find no room."""
        return self._filled == len(self._losses)

    def add(self, rows: Mapping[str, int], losses: Tensor, weights: Tensor) -> None:
        """Keep the K losses and weights of a step, and each task's rows; a full buffer that nobody took begins anew."""
        if self.full:
            self._filled = 0
        if self._losses.device != losses.device:
            self._losses, self._weights = self._losses.to(losses.device), self._weights.to(losses.device)
            self.latest = self.latest.to(losses.device)
        places = [self.tasks.index(name) for name in rows]
        for kept, values in ((self._losses, losses), (self._weights, weights)):
            kept[self._filled] = 0
            kept[self._filled, places] = values.float()
        self.latest[places] = weights.float()
        self._present[self._filled] = False
        self._present[self._filled, places] = True
        self._filled += 1
        self.rows.update(rows)

    def take(self) -> dict[str, tuple[float, float]]:
        """(loss, weight) of each task that took part: the means over the steps kept, which are forgotten then."""
        counts = self._present[: self._filled].sum(0).tolist()
        losses, weights = (kept[: self._filled].sum(0).tolist() for kept in (self._losses, self._weights))
        self._filled = 0
        sums = zip(self.tasks, losses, weights, counts, strict=True)
        return {name: (loss / count, weight / count) for name, loss, weight, count in sums if count}

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs to go on with the very same means and counts."""
        kept = {"losses": self._losses, "weights": self._weights, "present": self._present, "latest": self.latest}
        tensors = {name: tensor.cpu().clone() for name, tensor in kept.items()}
        return {**tensors, "filled": self._filled, "rows": dict(self.rows)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        self._losses, self._weights, self._present = state["losses"], state["weights"], state["present"]
        self.latest = state.get("latest", self.latest)
        self._filled, self.rows = state["filled"], Counter(state["rows"])
