"""Reads a SQLite or PostgreSQL store of a schema that was tested directly, several times as fast as MLflow's client."""

import sqlite3
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mtl.tracking.earlier import member_tag
from mtl.tracking.frame import wide
from mtl.tracking.store import database

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Engine

SCHEMAS = ("dc11669786a5",)
"""Alembic versions of MLflow's tables with which this was tested: MLflow 3.17."""

RUNS = """
    FROM runs JOIN tags role ON role.run_uuid = runs.run_uuid AND role.key = 'mtl.role' AND role.value = :role
    WHERE runs.experiment_id = :experiment AND runs.lifecycle_stage = :stage
"""
OF_SWEEP = """
    AND EXISTS (SELECT 1 FROM tags WHERE tags.run_uuid = runs.run_uuid
        AND (tags.key = 'mlflow.parentRunId' AND tags.value = :parent OR tags.key = :member AND tags.value = 'true'))
"""


def by_sql(uri: str) -> "BySql | None":
    """A reader of the store, or None where only the client knows how to read it."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    path = database(uri)
    if path is not None:
        # read-only: MLflow's own file is never changed from here
        engine = create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
        )
    elif uri.startswith("postgresql"):
        try:
            engine = create_engine(uri, isolation_level="REPEATABLE READ").execution_options(postgresql_readonly=True)
        except (ImportError, SQLAlchemyError):
            return None
    else:
        return None
    try:
        with engine.connect() as connection:
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    except SQLAlchemyError:
        return None  # the client says what is wrong
    return BySql(engine) if len(found) == 1 and found[0] in SCHEMAS else None


class BySql:
    """Experiments, sweeps and runs; the same answers as `ByClient`."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def experiments(self, *, deleted: bool = False) -> dict[str, str]:
        """Name to id."""
        query = "SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = :stage AND workspace = 'default'"
        return {name: str(number) for name, number in self._ask([query], stage=_stage(deleted))[0]}

    def sweeps(self, experiment_id: str, *, deleted: bool = False) -> list[str]:
        """Run ids of the parents, newest first."""
        found = self._ask(
            [f"SELECT runs.run_uuid, runs.start_time {RUNS}"],
            role="sweep",
            experiment=int(experiment_id),
            stage=_stage(deleted),
        )[0]
        return [run_id for run_id, _ in sorted(found, key=lambda run: (-run[1], run[0]))]

    def runs(self, experiment_id: str, parent: str | None = None) -> "pd.DataFrame":
        """The training runs, or those of one sweep, as `wide` gives them."""
        chosen = RUNS + (OF_SWEEP if parent is not None else "")
        value = f"FROM {{}} v WHERE v.run_uuid IN (SELECT runs.run_uuid {chosen})"
        queries = [
            f"SELECT runs.run_uuid, runs.status, runs.start_time, runs.end_time {chosen}",
            f"SELECT v.run_uuid, v.key, v.value {value.format('params')}",
            f"SELECT v.run_uuid, v.key, v.value {value.format('tags')}",
            f"SELECT v.run_uuid, v.key, CASE WHEN v.is_nan THEN NULL ELSE v.value END {value.format('latest_metrics')}",
        ]
        sweep = {} if parent is None else {"parent": parent, "member": member_tag(parent)}
        heads, params, tags, metrics = self._ask(
            queries, role="run", experiment=int(experiment_id), stage=_stage(False), **sweep
        )
        return wide(heads, params, tags, metrics)

    def _ask(self, queries: list[str], **values: Any) -> list[list[Any]]:
        """The rows of each query, all at one moment."""
        from sqlalchemy import text

        with self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            return [list(connection.execute(text(query), values).fetchall()) for query in queries]


def _stage(deleted: bool) -> str:
    return "deleted" if deleted else "active"
