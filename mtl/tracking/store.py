"""Where runs are kept: MLflow's store, SQLite in the working folder unless `MLFLOW_TRACKING_URI` says otherwise."""

import contextlib
import fcntl
import logging
import os
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.errors import MtlError

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"


def tracking_uri(uri: str | None = None) -> str:
    """The store's address: the one given, else `MLFLOW_TRACKING_URI`, else `mlflow.db` in the working folder."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{Path('mlflow.db').resolve()}"


def database(uri: str) -> Path | None:
    """The file of a SQLite store."""
    return Path(uri.removeprefix(SQLITE)).resolve() if uri.startswith(SQLITE) else None


@dataclass(frozen=True)
class Store:
    """An open store and one experiment in it."""

    uri: str
    client: "MlflowClient"
    experiment: str
    experiment_id: str


def open_store(uri: str, experiment: str) -> Store:
    """Open the store and the experiment, making what is missing; MtlError where it can't be reached or written."""
    quiet()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    path = database(uri)
    _reach(uri)
    try:
        with _alone(path):
            if path is not None and not path.exists():
                _create(path)
            client = MlflowClient(uri)
            found = client.get_experiment_by_name(experiment)
            if found is None:
                beside = None if path is None else str(path.parent / "mlartifacts" / experiment.replace("/", "_"))
                identity = client.create_experiment(experiment, artifact_location=beside)
            elif found.lifecycle_stage == "deleted":
                raise MtlError(f"experiment '{experiment}' was deleted in {uri}; restore it or name another")
            else:
                identity = found.experiment_id
            if path is not None:
                _prepare(path)
    except (MlflowException, SQLAlchemyError, OSError, sqlite3.Error) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise MtlError(f"the store {uri} can't be written: {reason}") from error
    return Store(uri, client, experiment, identity)


def _create(path: Path) -> None:
    """Make the tables in a file beside it, so that whatever ends this process leaves either no store or a whole one."""
    from mlflow import MlflowClient

    making = path.with_name(f".{path.name}.making")
    making.unlink(missing_ok=True)
    MlflowClient(f"{SQLITE}{making}").search_experiments()
    making.replace(path)


def _reach(uri: str) -> None:
    """Find out in seconds whether a server answers: MLflow itself tries for minutes."""
    if not uri.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10).close()
    except urllib.error.HTTPError:
        return  # it answers, if only to ask for a password
    except OSError as error:
        raise MtlError(f"the store {uri} does not answer: {error}") from None


def _prepare(path: Path) -> None:
    """Let readers and one writer work at once; find out now whether the file can be written."""
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


@contextlib.contextmanager
def _alone(path: Path | None) -> Generator[None, None, None]:
    """One process at a time: MLflow's making of a new SQLite store is not safe against a second one."""
    if path is None:
        yield
        return
    if not path.parent.is_dir():
        raise MtlError(f"the folder of the store {path} does not exist")
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def quiet() -> None:
    """Leave out what MLflow says on every start."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.system_metrics.system_metrics_monitor"):
        logging.getLogger(name).setLevel(logging.WARNING)
