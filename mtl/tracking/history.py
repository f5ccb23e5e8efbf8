"""Metric histories of runs as one tidy frame, read from the MLflow store."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mtl.errors import MtlError
from mtl.tracking.exact import LARGEST
from mtl.tracking.store import database, quiet, tracking_uri

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["run_id", "metric", "step", "value"]
BOUND = 400
"""Values bound in one statement: SQLite takes at least 999."""


class Point(NamedTuple):
    """One recorded value; `timestamp` in ms."""

    run_id: str
    metric: str
    step: int
    value: float
    timestamp: int


def history(runs: "pd.DataFrame", metrics: Sequence[str]) -> "pd.DataFrame":
    """Every recorded point of the metrics, of the runs that `mtl.runs` gave.

    `train/<task>/loss` and `train/<task>/weight` are means of `tracking.every` steps, over the steps with that task.

    Args:
        runs: rows with `run_id`; their store is where `mtl.runs` found them.
        metrics: their names, such as `train/zh_pos/loss`; one that a run lacks has no points.

    Returns:
        columns `run_id`, `metric`, `step` (optimiser steps taken) and `value`.
    """
    return read_history(tracking_uri(runs.attrs.get("uri")), runs["run_id"].tolist(), metrics)


def read_history(uri: str, run_ids: Sequence[str], metrics: Sequence[str]) -> "pd.DataFrame":
    """Every point of the metrics: columns `run_id`, `metric`, `step` and `value`, in the order asked for, then by step.

    A SQLite store is read directly (read only), any other through MLflow. A step
    that was recorded twice, as by a run that was cut off and went on, counts once: as it was recorded last.
    """
    path = database(uri)
    points = _from_file(path, run_ids, metrics) if path is not None else _from_client(uri, run_ids, metrics)
    return _tidy(points, run_ids, metrics)


def _from_file(path: Path, run_ids: Sequence[str], metrics: Sequence[str]) -> Iterator[Point]:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=20)) as connection:
            for runs in _chunks(run_ids):
                for keys in _chunks(metrics):
                    found = connection.execute(
                        "SELECT run_uuid, key, step, CASE WHEN is_nan THEN NULL ELSE value END, timestamp FROM metrics "
                        f"WHERE run_uuid IN ({_marks(runs)}) AND key IN ({_marks(keys)})",
                        (*runs, *keys),
                    )
                    yield from (Point(*row[:3], float("nan") if row[3] is None else row[3], row[4]) for row in found)
    except sqlite3.Error as error:
        raise MtlError(f"the store {path} cannot be read: {error}") from error


def _from_client(uri: str, run_ids: Sequence[str], metrics: Sequence[str]) -> Iterator[Point]:
    quiet()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri)
    try:
        for run_id in run_ids:
            for metric in metrics:
                for point in client.get_metric_history(run_id, metric):
                    yield Point(run_id, metric, point.step, point.value, point.timestamp)
    except MlflowException as error:
        raise MtlError(f"the metrics cannot be read: {str(error).splitlines()[0]}") from error


def _tidy(points: Iterable[Point], run_ids: Sequence[str], metrics: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    places = {name: place for names in (run_ids, metrics) for place, name in enumerate(names)}
    last = {point[:3]: point.value for point in sorted(points, key=lambda point: (point.timestamp, point.value))}
    rows = [(*place, value) for place, value in last.items()]
    rows.sort(key=lambda row: (places[row[0]], places[row[1]], row[2]))
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({"step": "int64", "value": "float64"})
    frame["value"] = frame["value"].mask(frame["value"].abs() >= LARGEST, frame["value"] * 2)
    return frame


def _chunks(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    listed = tuple(dict.fromkeys(names))
    return (listed[start : start + BOUND] for start in range(0, len(listed), BOUND))


def _marks(names: Sequence[str]) -> str:
    return ", ".join("?" * len(names))
