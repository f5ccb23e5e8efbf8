"""The instruments of a run: what its configuration has measured."""

from collections.abc import Mapping
from typing import Any

from mtl.cli.build import Run
from mtl.cli.instantiate import instantiate
from mtl.errors import MtlError
from mtl.tracking.recorder import Recorder
from mtl.training.dynamics import Dynamics
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


def look_at_gradients(config: Mapping[str, Any], run: Run) -> None:
    """Let the module see how tasks conflict, as often as `tracking.gradients_every` says."""
    if config["trainer"]["precision"] == "16-mixed":  # small gradients vanish before the loss is scaled
        return
    module, tracking = run.module, config["tracking"]
    every, points = tracking["gradients_every"], tracking["every"]
    module.dynamics = Dynamics(module.model, module.gradients, len(module.tasks), every, points)


def _check(config: Mapping[str, Any], run: Run) -> None:
    """What the instrument can't measure yet."""
    if any(amount is not None for amount in config["budget"].values()):
        raise MtlError("probe=switching plans its measurements over steps; take steps=N in place of a budget")
    if config["optimizer"]["_target_"].endswith(".AdaTask"):
        raise MtlError("probe=switching does not read the moments of optimizer=adatask; take adam, adamw or sgd")
    if run.module.model.condition is not None:
        raise MtlError("probe=switching can't tell switches from fresh preferences; take another weighting than cosmos")
