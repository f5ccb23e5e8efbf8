"""A run's model in MLflow's format: its checkpoint with a few small files beside it, so that no weights are twice."""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import mtl
from mtl.errors import MtlError
from mtl.tracking.artifacts import full_id, open_client
from mtl.tracking.recorder import Recorder

FOLDER = "model"
LOADER = "mtl.cli.served"
REQUIREMENTS = ("mlflow", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "omegaconf", "numpy", "pandas")
"""What reading texts needs besides mtl, which is on no package index: `pip install` of the bare name isn't it."""


def record_model(recorder: Recorder, checkpoint: Path, examples: Sequence[str]) -> None:
    """Record the checkpoint as `runs:/<run id>/model`, for `mtl predict` and `mlflow models predict` alike.

    Args:
        recorder: the run.
        checkpoint: the selected one; it is uploaded from where it is.
        examples: texts for the input example.
    """
    folder = checkpoint.parent.parent / FOLDER
    history = write_model(folder, checkpoint.name, examples, recorder.run_id)
    for file in (checkpoint, *sorted(folder.iterdir())):
        recorder.artifact(file, FOLDER)
    recorder.tags({"mlflow.log-model.history": json.dumps([history])})


def write_model(folder: Path, checkpoint: str, examples: Sequence[str], run_id: str) -> dict[str, object]:
    """Write all files of a model but its checkpoint; the entry for MLflow's list of a run's models."""
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    text = DataType.string
    signature = ModelSignature(
        Schema([ColSpec(text, "text"), ColSpec(text, "task", required=False)]),
        Schema(
            [
                ColSpec(DataType.long, "row"),
                ColSpec(text, "text"),
                ColSpec(text, "task"),
                ColSpec(text, "answer"),
                ColSpec(DataType.double, "probability", required=False),
                ColSpec(text, "probabilities", required=False),
            ]
        ),
    )
    example = {"columns": ["text"], "data": [[text] for text in examples]}
    requirements = [f"{name}=={version(name)}" for name in REQUIREMENTS]
    environment = f"python: {platform.python_version()}\ndependencies:\n- -r requirements.txt\n"
    found = {
        "input_example.json": json.dumps(example, ensure_ascii=False),
        "serving_input_example.json": json.dumps({"dataframe_split": example}, ensure_ascii=False),
        "requirements.txt": "\n".join([f"# and mtl {mtl.__version__} from its own wheel", *requirements, ""]),
        "python_env.yaml": environment,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        (folder / name).write_text(content, encoding="utf-8")
    model = Model(
        artifact_path=FOLDER,
        run_id=run_id,
        signature=signature,
        saved_input_example_info={
            "artifact_path": "input_example.json",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
    )
    pyfunc.add_to_model(model, LOADER, data=checkpoint, python_env="python_env.yaml")
    model.save(str(folder / "MLmodel"))
    return model.get_tags_dict()


def register(uri: str, run_id: str, name: str) -> str:
    """Enter a run's model in the registry under `name`, once; its version.

    Args:
        uri: of the store.
        run_id: its beginning is enough.
        name: of the registered model; it is made where there is none.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

    client = open_client(uri)
    try:
        run = client.get_run(full_id(client, run_id))
        full = run.info.run_id
        if not any(file.path == f"{FOLDER}/MLmodel" for file in client.list_artifacts(full, FOLDER)):
            raise MtlError(f"run {full} has no model (status {run.info.status}); tracking.model=true keeps one")
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
        known = [v for v in client.search_model_versions(f"run_id = '{full}'") if v.name == name]
        source = f"{run.info.artifact_uri}/{FOLDER}"
        found = known[0] if known else client.create_model_version(name, source, full)
    except MlflowException as error:
        raise MtlError(f"the model can't be registered as '{name}': {str(error).splitlines()[0]}") from error
    return str(found.version)
