"""One run of the record, found by its id or its name, and what it keeps."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mtl.errors import MtlError
from mtl.tracking.artifacts import full_id, open_client
from mtl.tracking.store import public

if TYPE_CHECKING:
    from mlflow import MlflowClient


class OneRun(NamedTuple):
    """A run: id, name, tags, parameters, last values of its metrics."""

    run_id: str
    name: str
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]


def one_run(uri: str, which: str) -> OneRun:
    """The run whose id begins so, or else the only one of that name."""
    client = open_client(uri)
    try:
        run_id = full_id(client, which)
    except MtlError:
        run_id = _named(client, which)
    found = client.get_run(run_id)
    return OneRun(
        run_id, found.info.run_name or run_id, found.info.status, found.data.tags, found.data.params, found.data.metrics
    )


def _named(client: "MlflowClient", name: str) -> str:
    if "'" in name or '"' in name:
        raise MtlError(f"there is no run {name} in {public(client.tracking_uri)}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"attributes.run_name = '{name}'", max_results=20)
    if not found:
        raise MtlError(f"there is no run whose id begins with '{name}' or that has this name")
    if len(found) > 1:
        ids = ", ".join(run.info.run_id[:8] for run in found)
        raise MtlError(f"{len(found)} runs are named '{name}'; take one by its id, newest first: {ids}")
    return found[0].info.run_id


def read_text(uri: str, run_id: str, path: str) -> str | None:
    """A text artifact of a run; `None` where it has none of that name."""
    from mlflow.exceptions import MlflowException

    client = open_client(uri)
    try:
        folder = path.rpartition("/")[0]
        if path not in {file.path for file in client.list_artifacts(run_id, folder or None)}:
            return None
        return Path(client.download_artifacts(run_id, path)).read_text(encoding="utf-8")
    except (MlflowException, OSError) as error:
        raise MtlError(f"run {run_id}: {path} cannot be read: {str(error).splitlines()[0]}") from error
