"""The instrument of a run, where its configuration asks for one."""

from collections.abc import Mapping
from typing import Any

from mtl.cli.build import Run
from mtl.cli.instantiate import instantiate
from mtl.errors import MtlError
from mtl.tracking.recorder import Recorder
from mtl.training.probe import Probe


def make_probe(config: Mapping[str, Any], run: Run, recorder: Recorder) -> list[Probe]:
    """The callback that `probe=switching` asks for, as a list of one; none for `probe=none`."""
    if "_target_" not in config["probe"]:
        if config["probe"]["rows"] != 0:
            raise MtlError(f"probe.rows needs probe=switching. Found {config['probe']['rows']} with probe=none")
        return []
    _check(config, run)
    make = instantiate("probe", config["probe"])
    try:
        return [make(run.tasks, run.plan.steps, config["seed"], recorder.metrics, recorder.text)]
    except (TypeError, ValueError) as error:
        raise MtlError(f"probe: {error}") from error


def _check(config: Mapping[str, Any], run: Run) -> None:
    """What the instrument can't measure yet."""
    if any(amount is not None for amount in config["budget"].values()):
        raise MtlError("probe=switching plans its measurements over steps; take steps=N in place of a budget")
    if config["optimizer"]["_target_"].endswith(".AdaTask"):
        raise MtlError("probe=switching does not read the moments of optimizer=adatask; take adam, adamw or sgd")
    if run.module.model.condition is not None:
        raise MtlError("probe=switching can't tell switches from fresh preferences; take another weighting than cosmos")
