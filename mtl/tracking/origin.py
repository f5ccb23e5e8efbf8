"""What the store knows of runs beside their numbers: the sweeps that began them, and the packages they ran with."""

import re
from collections.abc import Iterable
from pathlib import Path

from mtl.tracking.store import database, quiet


def store_kind(uri: str) -> str:
    """What sort of store it is, without its place: `SQLite file mlflow.db`."""
    path = database(uri)
    if path is not None:
        return f"SQLite file {path.name}"
    scheme = re.split(r"[:+]", uri)[0]
    return {"http": "MLflow server", "https": "MLflow server", "postgresql": "PostgreSQL"}.get(scheme, scheme)


def sweep_tags(uri: str, run_ids: Iterable[str]) -> dict[str, dict[str, str] | None]:
    """The tags of each sweep's own run, with `deleted` = `true` where it was; None where there is no such run now."""
    quiet()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri)
    found: dict[str, dict[str, str] | None] = {}
    for run_id in run_ids:
        try:
            run = client.get_run(run_id)
        except MlflowException:
            found[run_id] = None
        else:
            found[run_id] = dict(run.data.tags) | {"deleted": str(run.info.lifecycle_stage == "deleted").lower()}
    return found


def packages_of(uri: str, run_ids: Iterable[str]) -> dict[str, str]:
    """`packages.txt` of each run that has one within reach."""
    quiet()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri)
    found = {}
    for run_id in run_ids:
        try:
            found[run_id] = Path(client.download_artifacts(run_id, "packages.txt")).read_text(encoding="utf-8")
        except (MlflowException, OSError):
            continue
    return found
