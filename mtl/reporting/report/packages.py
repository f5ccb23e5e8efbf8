"""The versions of the packages that runs were made with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl.reporting.report.facts import code_of, tag

if TYPE_CHECKING:
    import pandas as pd

MAIN = ("mtl", "torch", "pytorch-lightning", "torchmetrics", "numpy", "hydra-core", "mlflow", "pandas", "scipy")


@dataclass(frozen=True)
class Packages:
    """Versions.

    Args:
        read: how many runs they were read from.
        platforms: Python and system, as recorded.
        main: the packages that matter most, each with its version or versions.
        differ: all packages in which the runs differ, each with its versions.
        whole: every package of the last run that was read, `name==version`.
    """

    read: int
    platforms: tuple[str, ...]
    main: Mapping[str, str]
    differ: Mapping[str, str]
    whole: tuple[str, ...]


def to_read(runs: "pd.DataFrame") -> list[str]:
    """Run ids of the first and the last run of each machine and commit: whose packages are looked at."""
    groups: dict[tuple[str, str], list[str]] = {}
    for record in runs.sort_values("start_time", kind="stable").to_dict("records"):
        groups.setdefault((tag(record, "mtl.host"), code_of(record)), []).append(str(record["run_id"]))
    return list(dict.fromkeys(run_id for ids in groups.values() for run_id in (ids[0], ids[-1])))


def packages(texts: Mapping[str, str]) -> Packages:
    """Of the `packages.txt` of some runs, by run id."""
    lines = [text.splitlines() for text in texts.values()]
    platforms = dict.fromkeys(line.lstrip("# ") for found in lines for line in found if line.startswith("#"))
    listed = [dict(line.split("==", 1) for line in found if "==" in line) for found in lines]
    names = sorted({name for found in listed for name in found}, key=str.lower)
    versions = {name: list(dict.fromkeys(found.get(name, "none") for found in listed)) for name in names}
    said = {name: ", ".join(found) for name, found in versions.items()}
    return Packages(
        len(listed),
        tuple(platforms),
        {name: said[name] for name in MAIN if name in said},
        {name: said[name] for name, found in versions.items() if len(found) > 1},
        tuple(line for line in lines[-1] if "==" in line) if lines else (),
    )
