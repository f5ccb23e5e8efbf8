"""Where runs are kept: MLflow's store, SQLite in the working folder unless `MLFLOW_TRACKING_URI` says otherwise."""

import contextlib
import fcntl
import logging
import os
import re
import socket
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.errors import MtlError

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
AWAY = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR")
_reached: set[str] = set()
"""Stores that this process has had open."""


def tracking_uri(uri: str | None = None) -> str:
    """The store's address: the one given, else `MLFLOW_TRACKING_URI`, else `mlflow.db` in the working folder.

    A SQLite file is named in full: MLflow keeps what it opened by the address, and a relative one would go on meaning
    the folder of its first use.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    return f"{SQLITE}{file}" if (file := database(uri)) else uri


def database(uri: str) -> Path | None:
    """The file of a SQLite store."""
    return Path(uri.removeprefix(SQLITE)).resolve() if uri.startswith(SQLITE) else None


def public(uri: str) -> str:
    """The address without a password."""
    return re.sub(r"//[^/@]*@", "//", uri)


@dataclass(frozen=True)
class Store:
    """An open store and one experiment in it."""

    uri: str
    client: "MlflowClient"
    experiment: str
    experiment_id: str
    """Empty where the store is away: its runs wait in their spools."""

    @property
    def away(self) -> bool:
        """Whether it could not be opened."""
        return not self.experiment_id


def open_or_spool(uri: str, experiment: str, known: bool) -> Store:
    """Open the store; one that does not answer now but did before (to this process, or `known`) is away, no error."""
    try:
        return open_store(uri, experiment)
    except UnreachableError as error:
        if not known and uri not in _reached:
            raise
        log.warning("%s; the run is kept in its folder, `mtl sync` delivers it", error)
        from mlflow import MlflowClient

        return Store(uri, MlflowClient(uri), experiment, "")


class UnreachableError(MtlError):
    """The store is down or locked: later it may not be."""


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
            identity = _experiment(client, path, experiment)
            if path is not None:
                _prepare(path)
    except (MlflowException, SQLAlchemyError, OSError, sqlite3.Error) as error:
        raise _one_line(uri, error) from error
    _reached.add(uri)
    return Store(uri, client, experiment, identity)


def _experiment(client: "MlflowClient", path: Path | None, name: str) -> str:
    """Its id; made where it is missing."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        beside = None if path is None else str(path.parent / "mlartifacts" / name.replace("/", "_"))
        try:
            return client.create_experiment(name, artifact_location=beside)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = client.get_experiment_by_name(name)  # somebody else was quicker
    if found is None or found.lifecycle_stage == "deleted":
        raise MtlError(f"experiment '{name}' was deleted in {public(client.tracking_uri)}; restore it or name another")
    return found.experiment_id


def _one_line(uri: str, error: Exception) -> MtlError:
    """What can be done about it."""
    schema = re.search(r"found version (\w+), but expected (\w+)", str(error))
    if schema:
        found, needed = schema.groups()
        says = f"the store {public(uri)} has schema {found}, this MLflow needs {needed}"
        if _is_old(found):
            return MtlError(f"{says}: copy the store, then `mlflow db upgrade {public(uri)}`")
        return MtlError(f"{says}: a newer MLflow made it; install that one")
    reason = (str(error).splitlines() or ["no reason given"])[0]
    away = getattr(error, "error_code", "TEMPORARILY_UNAVAILABLE") in AWAY and "no such table" not in reason
    kind = UnreachableError if away else MtlError
    return kind(f"the store {public(uri)} can't be written: {reason}")


def _is_old(schema: str) -> bool:
    """Whether the installed MLflow knows the schema, and so the way on from it."""
    import mlflow.store.db_migrations

    folder = Path(next(iter(mlflow.store.db_migrations.__path__))) / "versions"
    return any(path.name.startswith(f"{schema}_") for path in folder.glob("*.py"))


def _create(path: Path) -> None:
    """Make the tables in a file beside it, so that whatever ends this process leaves either no store or a whole one."""
    from mlflow import MlflowClient

    making = path.with_name(f".{path.name}.making")
    making.unlink(missing_ok=True)
    MlflowClient(f"{SQLITE}{making}").search_experiments()
    making.replace(path)


def _reach(uri: str) -> None:
    """Find out in seconds whether a server answers: MLflow itself tries for minutes."""
    parts = urllib.parse.urlsplit(uri)
    try:
        if parts.scheme in ("http", "https"):
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10).close()
        elif parts.hostname and (port := parts.port or PORTS.get(parts.scheme.partition("+")[0])):
            socket.create_connection((parts.hostname, port), timeout=10).close()
    except urllib.error.HTTPError as error:
        if error.code in (502, 503, 504):
            raise UnreachableError(f"the store {public(uri)} does not answer: {error}") from None
        # it answers, if only to ask for a password
    except OSError as error:
        raise UnreachableError(f"the store {public(uri)} does not answer: {error}") from None


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
    # MLflow would repeat a request whose answer was lost, and so begin a run twice; the spool repeats it knowingly
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # no tracebacks of a locked store
    for name in ("alembic", "mlflow.system_metrics.system_metrics_monitor"):
        logging.getLogger(name).setLevel(logging.WARNING)
