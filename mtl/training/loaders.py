"""Batches for training, as the switching plans them, and for evaluation, each row once."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mtl.data.batch import Announced, Batch, collate
from mtl.strategies.switching.base import Switching
from mtl.training.stream import RowStream


class StepLoader:
    """The training batches of a whole run, one a step. Its state is the step it has reached: nothing is replayed.

    Args:
        tasks: the tasks of the run.
        switching: how many rows of which task in each step.
        steps: optimiser steps of the run.
        seed: of the order of rows. Tasks with the same rows have the same order.
    """

    def __init__(self, tasks: Mapping[str, Announced], switching: Switching, steps: int, seed: int) -> None:
        self.tasks, self.switching, self.steps = tasks, switching, steps
        self.streams = {
            name: RowStream(task.labelled.rows["train"], task.inputs.lengths, switching.batch_size, seed)
            for name, task in tasks.items()
        }
        self.step = 0
        self.drawn: Counter[str] = Counter()

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        while self.step < self.steps:
            plan = self.switching.rows(self.step)
            # sorted, as the batch's distinct inputs are: tasks that share rows then read them without a gather
            rows = {name: np.sort(self.streams[name].take(self.drawn[name], count)) for name, count in plan.items()}
            self.step += 1
            self.drawn.update(plan)
            yield collate(rows, self.tasks)

    def planned(self) -> dict[str, int]:
        """Rows of each task that the whole plan holds."""
        total: Counter[str] = Counter(dict.fromkeys(self.tasks, 0))
        for step in range(self.steps):
            total.update(self.switching.rows(step))
        return dict(total)

    @property
    def epoch(self) -> int:
        """Passes over the largest task so far."""
        largest = max(self.streams, key=lambda name: len(self.streams[name].rows))
        return self.drawn[largest] // len(self.streams[largest].rows)

    def state_dict(self) -> dict[str, Any]:
        """The step reached and the rows drawn."""
        return {"step": self.step, "drawn": dict(self.drawn)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.step, self.drawn = state["step"], Counter(state["drawn"])


class EvaluationLoader:
    """Every labelled row of a split once, sorted by length and cut into batches of about `tokens` tokens."""

    def __init__(self, tasks: Mapping[str, Announced], split: str, tokens: int = 16384) -> None:
        self.tasks = tasks
        self.plan: list[dict[str, np.ndarray]] = []
        groups: dict[int, list[str]] = {}
        for name, task in tasks.items():
            groups.setdefault(id(task.inputs), []).append(name)
        for names in groups.values():
            wanted = {name: tasks[name].labelled.rows[split] for name in names}
            rows = np.unique(np.concatenate(list(wanted.values())))
            lengths = tasks[names[0]].inputs.lengths[rows]
            order = np.argsort(lengths, kind="stable")
            rows, lengths = rows[order], lengths[order]
            start = 0
            while start < len(rows):
                # rows ascend in length, so the last row of a batch says how wide it is
                size = np.arange(1, len(rows) - start + 1) * lengths[start:]
                end = start + max(1, int(np.searchsorted(size, tokens, side="right")))
                chunk = np.sort(rows[start:end])
                asked = {name: chunk[np.isin(chunk, wanted[name], assume_unique=True)] for name in names}
                self.plan.append({name: found for name, found in asked.items() if len(found)})
                start = end

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self.plan:
            yield collate(rows, self.tasks)
