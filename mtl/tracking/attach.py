"""Files attached to a run or to a sweep that are in the record already."""

from collections.abc import Iterable
from pathlib import Path

from mtl.errors import MtlError
from mtl.tracking.store import quiet


def attach(uri: str, run_id: str, files: Iterable[Path], folder: str) -> None:
    """Copy files to the run's artifacts, into a folder of this name."""
    quiet()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri)
    try:
        for file in files:
            client.log_artifact(run_id, str(file), folder)
    except (MlflowException, OSError) as error:
        raise MtlError(f"run {run_id} does not take the files: {str(error).splitlines()[0]}") from error


def sweep_run(uri: str, experiment: str, sweep: str) -> str:
    """The run id of a sweep's parent, by its beginning; `last` is the newest."""
    quiet()
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    newest = ["attributes.start_time DESC"]
    runs = client.search_runs([found.experiment_id], "tags.`mtl.role` = 'sweep'", order_by=newest) if found else []
    ids = [run.info.run_id for run in runs if sweep == "last" or run.info.run_id.startswith(sweep)]
    if not ids or (sweep != "last" and len(ids) > 1):
        raise MtlError(f"sweep: '{sweep}' names {len(ids)} sweeps of experiment {experiment}")
    return ids[0]
