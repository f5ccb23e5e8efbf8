"""Runs as one wide frame, whichever way they were read."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mtl.tracking.exact import exact

if TYPE_CHECKING:
    import pandas as pd

Head = tuple[str, str, int, int | None]
"""Run id, status, start and end in milliseconds since 1970."""
Value = tuple[str, str, Any]
"""Run id, name, value."""


def wide(
    heads: Iterable[Head], params: Iterable[Value], tags: Iterable[Value], metrics: Iterable[Value]
) -> "pd.DataFrame":
    """One row a run, newest first: run_id, status, start_time, end_time; then sorted `params.`, `tags.`, `metrics.`."""
    import pandas as pd

    heads = sorted(heads, key=lambda head: (-head[2], head[0]))
    place = {run_id: row for row, (run_id, *_) in enumerate(heads)}
    run_ids, statuses, starts, ends = zip(*heads, strict=True) if heads else ((), (), (), ())
    columns: dict[str, Any] = {"run_id": run_ids, "status": statuses}
    for name, times in (("start_time", starts), ("end_time", ends)):
        columns[name] = pd.to_datetime(pd.Series(times, dtype="Int64"), unit="ms", utc=True).dt.as_unit("ms")
    for kind, values in (("params", params), ("tags", tags)):
        columns |= {f"{kind}.{name}": column for name, column in _by_name(values, place)}
    columns |= {f"metrics.{name}": [_number(value) for value in column] for name, column in _by_name(metrics, place)}
    return pd.DataFrame(columns)


def _by_name(values: Iterable[Value], place: dict[str, int]) -> Sequence[tuple[str, list[Any]]]:
    """Every name's values in the order of the runs; None where a run has none."""
    columns: dict[str, list[Any]] = {}
    for run_id, name, value in values:
        column = columns.get(name)
        if column is None:
            column = columns[name] = [None] * len(place)
        column[place[run_id]] = value
    return sorted(columns.items())


def _number(value: float | None) -> float:
    if value is None:
        return math.nan
    return exact(float(value))
