"""What was run: how many runs ended how and why, when, where, and with which code."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl.reporting.columns import Record
from mtl.reporting.usable import readable

if TYPE_CHECKING:
    import pandas as pd

WORDS = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "stopped before its end", "RUNNING": "unfinished"}
"""How a run ended; what MLflow calls anything else stands in small letters."""


GOING = "it has not said that it ended: it still runs, or its process is gone"


@dataclass(frozen=True)
class Failure:
    """Runs that ended for the same reason.

    Args:
        state: one of `WORDS`, not finished.
        reason: the first line of the error, or that none was recorded.
        whole: the whole error, where it has more lines.
        runs: their names.
    """

    state: str
    reason: str
    whole: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """What a reader wants to know before the numbers.

    Args:
        total: number of runs.
        states: how many ended how, the finished first.
        failures: why the others did not finish.
        strange: finished runs without the tags that this version writes.
        began: start of the first run (UTC); None without any.
        ended: end of the last one.
        seconds: of all runs together.
        code: commits, each with its number of runs.
        hosts: machines, each with its number of runs.
        tasks: names of the tasks.
    """

    total: int
    states: Mapping[str, int]
    failures: tuple[Failure, ...]
    strange: tuple[str, ...]
    began: "pd.Timestamp | None"
    ended: "pd.Timestamp | None"
    seconds: float
    code: Mapping[str, int]
    hosts: Mapping[str, int]
    tasks: tuple[str, ...]


def facts(runs: "pd.DataFrame") -> Facts:
    """Of a frame of runs, as `read_runs` gives it."""
    records = runs.to_dict("records")
    states = Counter(state_of(record) for record in records)
    order = [word for word in (*WORDS.values(), *sorted(states)) if states[word]]
    strange = runs[(runs["status"] == "FINISHED") & ~readable(runs)].to_dict("records")
    ends = runs["end_time"].dropna() if "end_time" in runs else runs["start_time"].iloc[:0]
    length = (runs["end_time"] - runs["start_time"]).dropna() if "end_time" in runs else ends
    return Facts(
        len(records),
        {word: states[word] for word in order},
        tuple(_failures(records)),
        tuple(name_of(record) for record in strange),
        None if runs.empty else runs["start_time"].min(),
        None if ends.empty else ends.max(),
        float(length.dt.total_seconds().sum()) if len(length) else 0.0,
        _counted(map(code_of, records)),
        _counted(tag(record, "mtl.host") or "not recorded" for record in records),
        tuple(dict.fromkeys(task for record in records for task in tag(record, "mtl.tasks").split(",") if task)),
    )


def lasted(seconds: float) -> str:
    """`47 s`, `12 min`, `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def tag(record: Record, name: str) -> str:
    """A tag; empty where the run has none (a frame then holds None or nan)."""
    value = record.get(f"tags.{name}")
    return value if isinstance(value, str) else ""


def name_of(record: Record) -> str:
    """As people read it, else the beginning of its id."""
    return tag(record, "mlflow.runName") or str(record["run_id"])[:8]


def state_of(record: Record) -> str:
    """How the run ended, in a word."""
    status = str(record["status"])
    return WORDS.get(status, status.lower())


def code_of(record: Record) -> str:
    """The commit, and whether the working tree differed from it."""
    commit = tag(record, "mtl.git_commit")[:12]
    changed = " with changes that were not committed" if tag(record, "mtl.git_dirty") == "true" else ""
    return f"commit {commit}{changed}" if commit else "no commit recorded"


def _failures(records: Sequence[Record]) -> Iterable[Failure]:
    """Those of one reason together, failed ones first, then the commonest."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for record in records:
        if record["status"] != "FINISHED":
            found[state_of(record), tag(record, "mtl.error").strip()].append(name_of(record))
    states = list(WORDS.values())
    for (state, error), names in sorted(
        found.items(), key=lambda item: (states.index(item[0][0]) if item[0][0] in states else 9, -len(item[1]))
    ):
        first, _, rest = error.partition("\n")
        yield Failure(
            state,
            first or (GOING if state == WORDS["RUNNING"] else "no error is recorded"),
            error if rest else "",
            tuple(names),
        )


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
