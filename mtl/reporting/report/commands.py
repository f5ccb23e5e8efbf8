"""The commands that repeat what a report shows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl.reporting.columns import Record
from mtl.reporting.report.facts import tag

if TYPE_CHECKING:
    import pandas as pd

FILE = re.compile(r"params\.tasks\.([\w-]+)\._base_")
MEMBER = "tags.mtl.in_sweep."

Tags = Mapping[str, str]


@dataclass(frozen=True)
class Sweep:
    """A sweep that runs of the report belong to.

    Args:
        run_id: of its parent run.
        name: as people read it.
        command: that repeats it; empty where it is not known.
        remark: what became of the parent, where it is not as it should be.
        runs: how many of the report's runs it began or found done.
    """

    run_id: str
    name: str
    command: str
    remark: str
    runs: int


def parents(runs: "pd.DataFrame") -> dict[str, int]:
    """Run ids of the sweeps that runs belong to, oldest first, each with its number of runs."""
    found: dict[str, int] = {}
    members = [name for name in runs.columns if name.startswith(MEMBER)]
    for record in runs.sort_values("start_time", kind="stable").to_dict("records"):
        own = tag(record, "mlflow.parentRunId")
        ids = [own, *(name.removeprefix(MEMBER) for name in members if record[name] == "true")]
        for run_id in dict.fromkeys(filter(None, ids)):
            found[run_id] = found.get(run_id, 0) + 1
    return found


def sweeps(runs: "pd.DataFrame", known: Mapping[str, Tags | None]) -> list[Sweep]:
    """The sweeps, with what the record knows of each parent: its tags (`deleted` where it was), or None."""
    found = []
    for run_id, count in parents(runs).items():
        tags = known.get(run_id)
        if tags is None:
            found.append(Sweep(run_id, "", "", "its own run is not in the record any more", count))
            continue
        remark = "its own run was deleted in the record" if tags.get("deleted") == "true" else ""
        words = tags.get("mtl.overrides", "")
        command = f"mtl train -m {words}" if words else ""
        found.append(Sweep(run_id, tags.get("mlflow.runName", ""), command, remark, count))
    return found


def alone(runs: "pd.DataFrame") -> int:
    """How many runs no sweep began."""
    return sum(not tag(record, "mlflow.parentRunId") for record in runs.to_dict("records"))


def command_of(record: Record) -> str:
    """What repeats one run; empty where it was recorded before overrides were."""
    words = tag(record, "mtl.overrides")
    return f"mtl train {words}" if words else ""


def files(runs: "pd.DataFrame") -> list[str]:
    """Tasks that came from YAML files of the user's: a command names such a file by its path."""
    return sorted(found[1] for name in runs.columns if (found := FILE.fullmatch(name)))
