"""The appendix of a report: every run with its facts, settings, metrics, command and error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl.reporting.columns import Record, tasks_of
from mtl.reporting.report.commands import command_of
from mtl.reporting.report.facts import name_of, state_of, tag

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Entry:
    """One run of the appendix: facts, what varies, and its last metrics by split."""

    name: str
    state: str
    facts: Mapping[str, str]
    settings: Mapping[str, str]
    metrics: Mapping[str, Mapping[str, str]]
    command: str
    error: str


def entries(runs: "pd.DataFrame", varying: Sequence[str], most: int) -> list[Entry]:
    """The first `most` runs, oldest first."""
    names = [name for name in runs.columns if name.startswith("metrics.")]
    return [
        _entry(record, varying, names)
        for record in runs.sort_values("start_time", kind="stable").head(most).to_dict("records")
    ]


def _entry(record: Record, varying: Sequence[str], names: Sequence[str]) -> Entry:
    began, ended = record["start_time"], record.get("end_time")
    lasted = "" if ended is None or ended != ended else f" ({(ended - began).total_seconds():,.0f} s)"
    facts = {
        "run id": str(record["run_id"]),
        "began": f"{began:%Y-%m-%d %H:%M:%S} UTC{lasted}",
        "tasks": ", ".join(tasks_of(record)),
        "seed": tag(record, "mtl.seed"),
        "host": tag(record, "mtl.host"),
        "commit": tag(record, "mtl.git_commit"),
        "key": tag(record, "mtl.key"),
    }
    metrics: dict[str, dict[str, str]] = {}
    for name in names:
        if isinstance(value := record[name], float) and value == value:
            split, _, rest = name.removeprefix("metrics.").partition("/")
            metrics.setdefault(split, {})[rest or split] = f"{value:.5g}"
    first = [split for split in ("test", "val", "train", "switch") if split in metrics]
    return Entry(
        name_of(record),
        state_of(record),
        {label: value for label, value in facts.items() if value},
        {name: str(value) for name in varying if isinstance(value := record.get(f"params.{name}"), str)},
        {split: metrics[split] for split in (*first, *sorted(set(metrics).difference(first)))},
        command_of(record),
        tag(record, "mtl.error"),
    )
