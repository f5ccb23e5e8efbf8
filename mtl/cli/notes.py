"""What the jobs of a sweep say of themselves: lines of a file in its folder, since jobs may be other processes."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

NOTES = ".mtl-outcomes"
RUNNING, DONE, KNOWN, FAILED, BEFORE, PRUNED = (
    "running",
    "done",
    "in the record already",
    "failed",
    "failed before",
    "pruned",
)
BAD = (FAILED, BEFORE)


@dataclass(frozen=True)
class Note:
    """What is known of a job at one moment.

    Args:
        job: its number in the sweep, or a name where it was never started.
        name: of its run.
        state: RUNNING, or how it ended.
        why: it failed; or how far it is.
        values: validation metrics of the selected model (or the latest), never test metrics.
        at: seconds since the epoch.
    """

    job: str
    name: str
    state: str
    why: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    at: float = field(default_factory=time.time)


def leave(sweep: Path, note: Note) -> None:
    """Add a line; one write, so that lines of several processes don't mix."""
    with (sweep / NOTES).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(note), ensure_ascii=False) + "\n")


def read(sweep: Path) -> list[Note]:
    """All notes so far, in their order; a line that is being written is left for later."""
    path = sweep / NOTES
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [Note(**json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def latest(notes: list[Note]) -> dict[str, Note]:
    """The last note of each job."""
    return {note.job: note for note in notes}
