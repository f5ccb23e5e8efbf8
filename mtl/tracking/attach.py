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
