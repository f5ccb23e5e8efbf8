"""What a figure is asked to show: runs in groups that differ in nothing but the seed, and their scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mtl.errors import MtlError
from mtl.reporting.baselines import is_baseline
from mtl.reporting.columns import Record, labels, primaries, resolve, tasks_of
from mtl.reporting.pooling import Sample, pool, seed_of
from mtl.reporting.table import Column
from mtl.reporting.usable import finished, left_out

if TYPE_CHECKING:
    import pandas as pd

AXES = ("prompt", "weighting", "switching", "trunk", "tasks")
History = Callable[[Sequence[str], Sequence[str]], "pd.DataFrame"]
Groups = Mapping[tuple[str, ...], Sequence[Record]]


@dataclass(frozen=True)
class Asked:
    """The finished runs, oldest first, and the options of `figure`."""

    runs: "pd.DataFrame"
    history: History | None
    by: tuple[str, ...]
    chosen_tasks: tuple[str, ...]
    metric: str | None
    band: str
    over_time: bool
    alpha: float
    left_out: str

    @classmethod
    def of(cls, runs: "pd.DataFrame", *, by: Sequence[str], tasks: Sequence[str], **options: Any) -> "Asked":
        """Leave out what has not finished or lacks tags; MtlError where nothing is left, or a task is not trained."""
        usable, others = finished(runs).sort_values("start_time", kind="stable"), left_out(runs)
        if usable.empty:
            raise MtlError("there is no finished run to show" + (f" ({others})" if others else ""))
        asked = cls(usable, by=tuple(by), chosen_tasks=tuple(tasks), left_out=others, **options)
        for task in tasks:
            if task not in asked.all_tasks:
                raise MtlError(f"task: no run trains '{task}'. Tasks: {', '.join(asked.all_tasks)}")
        return asked

    @cached_property
    def all_tasks(self) -> list[str]:
        """The tasks of all runs, in the order of the runs."""
        return list(dict.fromkeys(task for record in self.runs.to_dict("records") for task in tasks_of(record)))

    @cached_property
    def tasks(self) -> list[str]:
        """Those asked for, else those of the runs shown."""
        return list(self.chosen_tasks or dict.fromkeys(task for record in self.records for task in tasks_of(record)))

    @cached_property
    def joint(self) -> "pd.DataFrame":
        """The runs without single-task ones, unless there are no others."""
        alone = [is_baseline(record) for record in self.runs.to_dict("records")]
        return self.runs if all(alone) else self.runs[[not one for one in alone]]

    @cached_property
    def records(self) -> list[Record]:
        """The runs shown."""
        return self.joint.to_dict("records")

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """What tells configurations apart."""
        return self.by or self.varying or ("weighting",)

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """The axes in which the runs differ."""
        return tuple(key for key in AXES if len({record.get(f"tags.mtl.{key}") for record in self.records}) > 1)

    @cached_property
    def groups(self) -> Groups:
        """The runs of each configuration, one a seed; rows follow the order in which values first appeared."""
        groups: dict[tuple[str, ...], list[Record]] = {}
        for name, record in zip(labels(self.joint, self.keys), self.records, strict=True):
            groups.setdefault(name, []).append(record)
        for name, group in groups.items():
            if (cell := pool([Sample(seed_of(run), 0.0, run) for run in group])).problem:
                raise MtlError(f"by: {say(name)}: {cell.notes[0]}; name what tells them apart in --by")
        first = [list(dict.fromkeys(values)) for values in zip(*groups, strict=True)]
        order = sorted(groups, key=lambda name: [values.index(part) for values, part in zip(first, name, strict=True)])
        return {name: groups[name] for name in order}

    @cached_property
    def recorded(self) -> list[str]:
        """Names of the metrics of the runs shown."""
        kept = self.joint.dropna(axis=1, how="all").columns
        return [name.removeprefix("metrics.") for name in kept if name.startswith("metrics.")]

    def columns(self) -> list[Column]:
        """One a task: its primary metric on the test split, or the metric asked for."""
        if self.metric is not None and "/" not in self.metric:
            return resolve(self.records, [f"test/{task}/{self.metric}" for task in self.tasks], self.recorded)
        if self.metric is not None:
            return resolve(self.records, [self.metric], self.recorded)
        return [column for column in primaries(self.records) if column.task in self.tasks]

    def histories(self, metrics: Sequence[str]) -> "pd.DataFrame":
        """The points of these metrics."""
        if self.history is None:
            raise MtlError("this figure shows curves: give `history`, such as `functools.partial(read_history, uri)`")
        return self.history([str(record["run_id"]) for record in self.records], metrics)

    def count(self, groups: Groups | None = None) -> str:
        """`24 runs: 8 configurations (prompt × weighting), seeds 0, 1, 2`."""
        groups = self.groups if groups is None else groups
        seeds = sorted({seed_of(record) for group in groups.values() for record in group})
        runs = sum(map(len, groups.values()))
        named = f"{number(runs, 'run')}: {number(len(groups), 'configuration')} ({' × '.join(self.keys)})"
        return f"{named}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def say(name: Sequence[str]) -> str:
    """`keyword × pcgrad`."""
    return " × ".join(part for part in name if part != "–") or "–"


def number(count: int, thing: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {thing}{'' if count == 1 else 's'}"
