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
    make = instantiate("probe", config["probe"])
    try:
        return [make(run.tasks, run.plan.steps, config["seed"], recorder.metrics, recorder.text)]
    except (TypeError, ValueError) as error:
        raise MtlError(f"probe: {error}") from error
