"""Batches for training, as the switching plans them, and for evaluation, each row once."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mtl.data.batch import Announced, Batch, collate
from mtl.strategies.switching.plan import Plan
from mtl.training.stream import RowStream


class StepLoader:
    """The training batches of a whole run, one a step. Its state is the step it has reached: nothing is replayed.

    Args:
        tasks: the tasks of the run.
        plan: how many rows of which task in each step.
        seed: of the order of rows. Tasks with the same rows have the same order.
        rank: of this process among `world` that share each step's rows: each takes every `world`-th row of each task.
        world: how many processes there are.
    """

    def __init__(self, tasks: Mapping[str, Announced], plan: Plan, seed: int, rank: int = 0, world: int = 1) -> None:
        self.tasks, self.plan, self.steps = tasks, plan, plan.steps
        self.rank, self.world = rank, world
        self.streams = {
            name: RowStream(task.labelled.rows["train"], task.inputs.lengths, plan.batch_size, seed)
            for name, task in tasks.items()
        }
        self.step = 0
        self.drawn: Counter[str] = Counter()

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        while self.step < self.steps:
            plan = self.plan.rows(self.step)
            rows = {name: self._mine(self.streams[name].take(self.drawn[name], count)) for name, count in plan.items()}
            self.step += 1
            self.drawn.update(plan)
            yield collate({name: found for name, found in rows.items() if len(found)}, self.tasks)

    def _mine(self, rows: np.ndarray) -> np.ndarray:
        """Sorted, as the batch's distinct inputs are: tasks that share rows then read them without a gather."""
        return np.sort(rows[self.rank :: self.world])

    @property
    def epoch(self) -> int:
        """Passes over the largest task so far."""
        largest = max(self.streams, key=lambda name: len(self.streams[name].rows))
        return self.drawn[largest] // len(self.streams[largest].rows)

    def state_dict(self) -> dict[str, Any]:
        """The step reached, the rows drawn, and the plan."""
        return {"step": self.step, "drawn": dict(self.drawn), "plan": self.plan.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.step, self.drawn = state["step"], Counter(state["drawn"])
        self.plan.load_state_dict(state["plan"])


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
