"""Every run of an experiment as one row of a frame, read from the MLflow store."""

import difflib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from mtl.errors import MtlError
from mtl.tracking.by_client import ByClient
from mtl.tracking.by_sql import BySql, by_sql
from mtl.tracking.store import database, quiet, tracking_uri

if TYPE_CHECKING:
    import pandas as pd

Reader = ByClient | BySql
T = TypeVar("T")


def runs(experiment: str, uri: str | None = None, sweep: str | None = None) -> "pd.DataFrame":
    """The training runs of an experiment, one row each, newest first.

    Args:
        experiment: its name in the record.
        uri: of the record; by default `MLFLOW_TRACKING_URI`, else `mlflow.db` in the working folder.
        sweep: only the runs of one sweep: the beginning of its run id, or `last`.

    Returns:
        the columns `run_id`, `status`, `start_time` and `end_time` (UTC; NaT while it runs), `params.<name>` and
        `tags.<name>` (text), and `metrics.<name>` (the last value by step; nan where there is none). `attrs["uri"]` is
        the record's address, where `mtl.history` and `mtl.figure` look for curves.
    """
    found = tracking_uri(uri)
    frame = read_runs(found, experiment, sweep=sweep)
    frame.attrs["uri"] = found
    return frame


def read_runs(uri: str, experiment: str, *, sweep: str | None = None) -> "pd.DataFrame":
    """One row a training run, newest first, with the columns of `mlflow.search_runs` (`run_id`, `tags.<name>`...).

    Infinite metrics are infinite again: MLflow's SQL stores clamp them to 1.8e308.

    Args:
        uri: of the store, such as `sqlite:///mlflow.db`.
        experiment: its name.
        sweep: only the runs of one sweep, by the beginning of its parent's run id; `last` is the newest. Runs that
            the sweep found finished already belong to it too.
    """
    return _asked(uri, lambda reader: _read(reader, uri, experiment, sweep))


def sweep_run(uri: str, experiment: str, sweep: str) -> str:
    """The run id of a sweep's parent, by its beginning; `last` is the newest."""
    return _asked(uri, lambda reader: _parent_id(reader, _experiment_id(reader, uri, experiment), experiment, sweep))


def _asked(uri: str, question: Callable[[Reader], T]) -> T:
    """The answer of the store's own tables where that is safe, else of MLflow's client."""
    _require_store(uri)
    reader = by_sql(uri)
    if reader is not None:
        return question(reader)
    quiet()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return question(ByClient(uri))
    except (MlflowException, SQLAlchemyError, ImportError) as error:
        raise MtlError(f"the store {_public(uri)} cannot be read: {str(error).splitlines()[0]}") from error


def _read(reader: Reader, uri: str, experiment: str, sweep: str | None) -> "pd.DataFrame":
    number = _experiment_id(reader, uri, experiment)
    return reader.runs(number, None if sweep is None else _parent_id(reader, number, experiment, sweep))


def _experiment_id(reader: Reader, uri: str, name: str) -> str:
    known = reader.experiments()
    if name in known:
        return known[name]
    if name in reader.experiments(deleted=True):
        raise MtlError(f"experiment '{name}' was deleted in {_public(uri)}; restore it or name another")
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There is: {', '.join(sorted(known))}"
    raise MtlError(f"there is no experiment '{name}' in {_public(uri)}. {hint}")


def _parent_id(reader: Reader, experiment_id: str, experiment: str, sweep: str) -> str:
    """The run id of the sweep's parent."""
    parents = reader.sweeps(experiment_id)
    found = parents[:1] if sweep == "last" else [run_id for run_id in parents if run_id.startswith(sweep)]
    if len(found) == 1:
        return found[0]
    if found:
        raise MtlError(f"sweep: '{sweep}' begins the run ids of {len(found)} sweeps: {', '.join(found)}")
    listed = ", ".join(parents[:10]) or "none"
    if gone := [run_id for run_id in reader.sweeps(experiment_id, deleted=True) if run_id.startswith(sweep)]:
        raise MtlError(f"sweep: {gone[0]} was deleted; `mlflow runs restore --run-id {gone[0]}`. There is: {listed}")
    raise MtlError(f"sweep: there is no '{sweep}' in experiment {experiment}. Its sweeps, newest first: {listed}")


def _require_store(uri: str) -> None:
    """A reader does not create an empty store."""
    path = database(uri)
    if path is not None and not path.exists():
        raise MtlError(f"there is no record yet: {path} does not exist. `mtl train` makes it")


def _public(uri: str) -> str:
    """The address without a password."""
    return re.sub(r"//[^/@]*@", "//", uri)
