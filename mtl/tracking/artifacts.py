"""Files of a run, fetched from wherever its store keeps them."""

from pathlib import Path

from mtl.errors import MtlError
from mtl.tracking.store import database, quiet


def checkpoint_of(uri: str, run_id: str) -> Path:
    """The checkpoint of the run whose id begins with `run_id`."""
    quiet()
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    path = database(uri)
    if path is not None and not path.exists():
        raise MtlError(f"there is no store at {path}; `mtl train` makes one, --uri names another")
    client = MlflowClient(uri)
    full = _full_id(client, run_id)
    found = [file.path for file in client.list_artifacts(full, "checkpoints")]
    if not found:
        raise MtlError(f"run {full} has no checkpoint (status {client.get_run(full).info.status})")
    return Path(download_artifacts(run_id=full, artifact_path=found[-1], tracking_uri=uri))


def _full_id(client: object, start: str) -> str:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    assert isinstance(client, MlflowClient)
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
