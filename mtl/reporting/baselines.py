"""Delta_m of a run against the single-task runs that differ from it in nothing else."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mtl.functional.delta_m import delta_m
from mtl.reporting.columns import Record, primary_of, tasks_of
from mtl.reporting.table import Column


def is_baseline(record: Record) -> bool:
    """Whether it is a single-task run."""
    return record.get("tags.mtl.switching") == "single"


@dataclass(frozen=True)
class Gain:
    """Delta_m of one run, or the tasks that stand in its way."""

    value: float | None = None
    missing: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    zero: tuple[str, ...] = ()


class Baselines:
    """Finds the single-task run with the same task, prompt, trunk, budget, optimiser and seed (`mtl.baseline_key`).

    Args:
        records: where to look.
        metrics: all the metrics of each task, for the gains that average over them.
    """

    def __init__(self, records: Iterable[Record], metrics: Mapping[str, Sequence[Column]]) -> None:
        self._metrics = metrics
        self._found: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in filter(is_baseline, records):
            for task in tasks_of(record):
                self._found[task, str(record.get(f"tags.mtl.baseline_key.{task}"))].append(record)

    def gain(self, record: Record, kind: str = "delta_m") -> Gain:
        """Delta_m over the run's tasks, in percent; positive is better.

        Args:
            record: the run.
            kind: `delta_m`, the primary metrics; `delta_m_metrics`, all metrics of all tasks, each weighing the same
                (Liu et al. 2021, Navon et al. 2022, with the other sign); `delta_m_tasks`, the mean over the tasks of
                the mean over a task's metrics (Vandenhende et al. 2021, Lin & Zhang 2023).
        """
        tasks = tasks_of(record)
        found = {task: self._matching(record, task) for task in tasks}
        if twice := [f"{task} ({_ids(found[task])})" for task in tasks if len(found[task]) > 1]:
            return Gain(twice=tuple(twice))
        alone = {task: runs[0] for task, runs in found.items() if runs}
        columns = {task: self._columns(record, alone[task], task, kind) for task in alone}
        if missing := [task for task in tasks if not columns.get(task)]:
            return Gain(missing=tuple(missing))
        if zero := [task for task in tasks if any(_value(alone[task], column) == 0 for column in columns[task])]:
            return Gain(zero=tuple(zero))
        parts = list(columns.items())
        blocks = [parts] if kind == "delta_m_metrics" else [[part] for part in parts]
        return Gain(math.fsum(_gain(record, alone, block) for block in blocks) / len(blocks))

    def _columns(self, record: Record, alone: Record, task: str, kind: str) -> list[Column]:
        """What the task is judged by: its primary metric, or all that either of the two runs has."""
        if kind == "delta_m":
            primary = primary_of(record, task)
            return [primary] if primary else []
        return [
            column
            for column in self._metrics.get(task, ())
            if not (math.isnan(_value(record, column)) and math.isnan(_value(alone, column)))
        ]

    def _matching(self, record: Record, task: str) -> list[Record]:
        key = record.get(f"tags.mtl.baseline_key.{task}")
        return self._found.get((task, key), []) if isinstance(key, str) else []


def _ids(records: Iterable[Record]) -> str:
    return ", ".join(str(record["run_id"]) for record in records)


def _value(record: Record, column: Column) -> float:
    return float(record.get(f"metrics.{column.key}", math.nan))


def _gain(record: Record, alone: Mapping[str, Record], parts: Iterable[tuple[str, Sequence[Column]]]) -> float:
    """The mean over the metrics of these tasks."""
    pairs = [(alone[task], column) for task, columns in parts for column in columns]
    return delta_m(
        [_value(record, column) for _, column in pairs],
        [_value(baseline, column) for baseline, column in pairs],
        [column.direction == "max" for _, column in pairs],
    )
