"""Batches for training, as the switching plans them, and for evaluation, each row once."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from mtl.data.batch import Announced, Batch, collate
from mtl.errors import MtlError
from mtl.strategies.switching.plan import Plan
from mtl.training.stream import RowStream

ENDLESS = 10**9
"""Steps of a run whose length is given in another unit: who measures that ends it."""


class StepLoader:
    """The training batches of a whole run, one a step. Its state is the step it has reached: nothing is replayed.

    Args:
        tasks: the tasks of the run.
        plan: how many rows of which task in each step.
        seed: of the order of rows. Tasks with the same rows have the same order.
        rank: of this process among `world` that share each step's rows: each takes every `world`-th row of each task.
        world: how many processes there are. A trainer sets both.
        reads: places that the trunk computes for a batch; by default those that stand in it.
    """

    def __init__(
        self,
        tasks: Mapping[str, Announced],
        plan: Plan,
        seed: int,
        rank: int = 0,
        world: int = 1,
        reads: Callable[[Batch], int] = lambda batch: batch.ids.numel(),
    ) -> None:
        self.tasks, self.plan, self.steps = tasks, plan, ENDLESS if plan.steps is None else plan.steps
        self.rank, self.world, self.reads = rank, world, reads
        self.streams = {
            name: RowStream(task.labelled.rows["train"], task.inputs.lengths, plan.batch_size, seed)
            for name, task in tasks.items()
        }
        self.step = 0
        self.used: dict[str, Counter[str]] = {
            unit: Counter(dict.fromkeys(tasks, 0)) for unit in ("steps", "rows", "tokens", "places")
        }
        """Steps that each task took part in, its rows, its tokens without padding, and its part (by tokens) of the
        places that the trunk reads, padding included."""
        self.tokens: Mapping[str, int] = {}
        """Of each task in the last step."""
        self.asked = 0.0
        """When the last step was asked for, by `time.perf_counter`."""

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        while self.step < self.steps:
            self.asked = time.perf_counter()
            try:
                plan = self.plan.rows(self.step)
            except ValueError as error:  # a rate that was asked for something new
                raise MtlError(f"switching: {error}") from error
            rows = {name: self.streams[name].take(self.drawn[name], count) for name, count in plan.items()}
            if max(len(found) for found in rows.values()) < self.world:  # on all of them, or the others would wait
                most = max(len(found) for found in rows.values())
                raise MtlError(
                    f"a step needs a row for each of {self.world} processes. Found {most} in step {self.step}"
                )
            mine = {name: self._mine(found) for name, found in rows.items()}
            batch = collate({name: found for name, found in mine.items() if len(found)}, self.tasks)
            self.step += 1
            self._count(rows, self.reads(batch) * self.world)
            yield batch

    @property
    def drawn(self) -> Counter[str]:
        """Rows of each task so far."""
        return self.used["rows"]

    def _count(self, rows: Mapping[str, np.ndarray], places: int) -> None:
        self.tokens = {name: int(self.tasks[name].inputs.lengths[found].sum()) for name, found in rows.items()}
        left, whole = places, sum(self.tokens.values())
        for name, found in rows.items():  # whole numbers that sum to the places
            part = left * self.tokens[name] // whole
            left, whole = left - part, whole - self.tokens[name]
            self.used["steps"][name] += 1
            self.used["rows"][name] += len(found)
            self.used["tokens"][name] += self.tokens[name]
            self.used["places"][name] += part

    def _mine(self, rows: np.ndarray) -> np.ndarray:
        """Sorted, as the batch's distinct inputs are: tasks that share rows then read them without a gather."""
        return np.sort(rows[self.rank :: self.world])

    @property
    def epoch(self) -> int:
        """Passes over the largest task so far."""
        largest = max(self.streams, key=lambda name: len(self.streams[name].rows))
        return self.drawn[largest] // len(self.streams[largest].rows)

    def state_dict(self) -> dict[str, Any]:
        """The step reached, what each task had, and the plan."""
        used = {unit: dict(counts) for unit, counts in self.used.items()}
        return {"step": self.step, "used": used, "plan": self.plan.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.step = state["step"]
        self.used = {unit: Counter(counts) for unit, counts in state["used"].items()}
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
