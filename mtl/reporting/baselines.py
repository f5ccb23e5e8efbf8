"""Delta_m of a run against the single-task runs that differ from it in nothing else."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import nan

from mtl.functional.delta_m import delta_m
from mtl.reporting.columns import Record, primary_of, tasks_of


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
    """Finds the single-task run with the same task, prompt, trunk, budget, optimiser and seed (`mtl.baseline_key`)."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._found: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in filter(is_baseline, records):
            for task in tasks_of(record):
                self._found[task, str(record.get(f"tags.mtl.baseline_key.{task}"))].append(record)

    def gain(self, record: Record) -> Gain:
        """Delta_m over the run's tasks, in percent; positive is better."""
        tasks = tasks_of(record)
        found = {task: self._matching(record, task) for task in tasks}
        if twice := [f"{task} ({_ids(found[task])})" for task in tasks if len(found[task]) > 1]:
            return Gain(twice=tuple(twice))
        columns = {task: primary_of(record, task) for task in tasks}
        if missing := [task for task in tasks if not found[task] or columns[task] is None]:
            return Gain(missing=tuple(missing))
        names = [f"metrics.{column.key}" for column in columns.values() if column]
        alone = [float(found[task][0].get(name, nan)) for task, name in zip(tasks, names, strict=True)]
        if zero := [task for task, value in zip(tasks, alone, strict=True) if value == 0]:
            return Gain(zero=tuple(zero))
        higher = [column.direction == "max" for column in columns.values() if column]
        return Gain(delta_m([float(record.get(name, nan)) for name in names], alone, higher))

    def _matching(self, record: Record, task: str) -> list[Record]:
        key = record.get(f"tags.mtl.baseline_key.{task}")
        return self._found.get((task, key), []) if isinstance(key, str) else []


def _ids(records: Iterable[Record]) -> str:
    return ", ".join(str(record["run_id"]) for record in records)
