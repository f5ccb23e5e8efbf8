"""Models that the record keeps, fetched from wherever its store has them."""

from pathlib import Path
from typing import TYPE_CHECKING

from mtl.errors import MtlError
from mtl.tracking.store import database, quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDERS = ("model", "checkpoints")
"""Where a run's checkpoint is; before there were models it was in the second."""


def checkpoint_of(uri: str, name: str) -> Path:
    """The checkpoint of a run (the beginning of its id is enough) or of a model (`models:/name/1`, `runs:/...`)."""
    if ":/" in name:
        return checkpoint_in(_model_folder(uri, name), name)
    client = open_client(uri)
    full = full_id(client, name)
    for folder in FOLDERS:
        found = [file.path for file in client.list_artifacts(full, folder) if file.path.endswith(".ckpt")]
        if found:
            return Path(client.download_artifacts(full, found[-1]))
    raise MtlError(f"run {full} has no model (status {client.get_run(full).info.status})")


def checkpoint_in(folder: Path, name: str) -> Path:
    """The checkpoint of a model's folder."""
    found = sorted(folder.glob("*.ckpt"))
    if len(found) != 1:
        raise MtlError(f"{name} should hold one checkpoint (.ckpt). Found {len(found)}")
    return found[0]


def _model_folder(uri: str, name: str) -> Path:
    open_client(uri)
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(uri)
    try:
        return Path(mlflow.artifacts.download_artifacts(name))
    except (MlflowException, OSError) as error:
        raise MtlError(f"there is no model {name} in {uri}: {str(error).splitlines()[0]}") from error


def open_client(uri: str) -> "MlflowClient":
    """A client of a store that is there already."""
    quiet()
    from mlflow import MlflowClient

    path = database(uri)
    if path is not None and not path.exists():
        raise MtlError(f"there is no store at {path}; `mtl train` makes one, --uri names another")
    return MlflowClient(uri)


def full_id(client: "MlflowClient", start: str) -> str:
    """The id of the one run whose id begins with `start`."""
    from mlflow.exceptions import MlflowException

    if len(start) == 32:
        try:
            return client.get_run(start).info.run_id
        except MlflowException:
            raise MtlError(f"there is no run {start} in {client.tracking_uri}") from None
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found, token = [], None
    while True:
        page = client.search_runs(experiments, page_token=token)
        found += [run.info.run_id for run in page if run.info.run_id.startswith(start)]
        token = page.token
        if not token:
            break
    if len(found) != 1:
        what = "there is no run whose id begins" if not found else f"{len(found)} runs have ids that begin"
        raise MtlError(f"{what} with {start}")
    return found[0]
