"""Which recorded values name the rows, and which metrics make the columns."""

import difflib
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mtl.errors import MtlError, choices
from mtl.reporting.table import BOUNDED, DELTA_M, Column

if TYPE_CHECKING:
    import pandas as pd

TAGS = ("prompt", "weighting", "transform", "switching", "trunk", "tasks", "selection", "seed")
LOWER = ("loss", "rmse", "mae", "mse", "perplexity")
HIGHER = (*BOUNDED, "pearson", "spearman", "ranking_precision")

Record = dict[Hashable, Any]


def tasks_of(record: Record) -> list[str]:
    """The names of a run's tasks."""
    listed = record.get("tags.mtl.tasks")
    return listed.split(",") if isinstance(listed, str) else []


def primary_of(record: Record, task: str) -> Column | None:
    """The column of the task's primary metric on the test split, as the run itself declares it."""
    name, direction = record.get(f"tags.mtl.primary.{task}"), record.get(f"tags.mtl.direction.{task}")
    return Column(f"test/{task}/{name}", direction, task) if isinstance(name, str) and direction else None


def labels(runs: "pd.DataFrame", keys: Sequence[str]) -> list[tuple[str, ...]]:
    """What names the row of every run."""
    if not keys:
        raise MtlError(f"rows: name at least one of {', '.join(TAGS)} or a parameter")
    names = []
    for key in keys:
        column = f"tags.mtl.{key}" if key in TAGS else f"params.{key}"
        if column not in runs.columns:
            params = sorted(name.removeprefix("params.") for name in runs.columns if name.startswith("params."))
            raise MtlError(
                f"rows: '{key}' is neither a tag nor a parameter of these runs. {_near(key, [*TAGS, *params])}"
            )
        names.append(runs[column].fillna("–").astype(str))
    return list(zip(*names, strict=True))


def primaries(records: Iterable[Record]) -> list[Column]:
    """The primary metric of every task, in the order in which the tasks were first trained."""
    found = (primary_of(record, task) for record in records for task in tasks_of(record))
    return list(dict.fromkeys(column for column in found if column))


def resolve(records: Sequence[Record], wanted: Sequence[str] | None, metrics: Iterable[str]) -> list[Column]:
    """The columns: those named, or every task's primary metric, Delta_m and the mean rank.

    A name may be a recorded metric, the same without `test/`, or a task (its primary metric).
    """
    known = primaries(records)
    derived = {name: Column(name, "max") for name in DELTA_M} | {"rank": Column("rank", "min")}
    if not wanted:
        return [*known, derived["delta_m"], derived["rank"]]
    by_name = derived | {"test/delta_m": derived["delta_m"]}
    tasks = {task for record in records for task in tasks_of(record)}
    by_name |= {name: _column(name, tasks, known) for name in metrics if name not in by_name}
    short = {name.removeprefix("test/"): column for name, column in by_name.items()}
    by_name = {column.task: column for column in reversed(known)} | short | by_name
    for name in wanted:
        if name not in by_name:
            there = sorted({*short, *(column.task for column in known if column.task)})
            raise MtlError(f"columns: '{name}' is not recorded. {_near(name, there)}")
    return [by_name[name] for name in dict.fromkeys(wanted)]


def all_metrics(records: Sequence[Record], metrics: Iterable[str]) -> dict[str, list[Column]]:
    """Every task's test metrics whose better direction is known, but for its loss."""
    tasks, known = {task for record in records for task in tasks_of(record)}, primaries(records)
    columns = [_column(name, tasks, known) for name in metrics if name.startswith("test/")]
    used = [column for column in columns if column.direction and not column.key.endswith("/loss")]
    return {task: [column for column in used if column.task == task] for task in sorted(tasks)}


def _column(key: str, tasks: set[str], known: Sequence[Column]) -> Column:
    """A recorded metric; the direction is that of the primary metric of this name, or what the name says."""
    parts = key.split("/")
    task = parts[1] if len(parts) == 3 and parts[1] in tasks else None
    declared = {(column.task, column.key.rsplit("/", 1)[-1]): column.direction for column in known}
    by_name = "min" if parts[-1] in LOWER else "max" if parts[-1] in HIGHER or parts[-1].endswith("_f1") else None
    return Column(key, declared.get((task, parts[-1]), by_name), task)


def _near(name: str, known: Sequence[str]) -> str:
    inside = [other for other in known if name and name.lower() in other.lower()]
    near = list(dict.fromkeys([*inside, *difflib.get_close_matches(name, known, n=3)]))
    return f"Did you mean {choices(near[:5])}?" if near else f"There is: {', '.join(known[:30])}"
