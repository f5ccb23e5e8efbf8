"""A sweep as one parent run, whichever launcher starts its jobs: they find its id in the sweep's folder."""

import contextlib
import re
import shlex
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from mtl.cli import notes
from mtl.errors import MtlError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mtl.tracking.recorder import Recorder
    from mtl.tracking.store import Store

PARENT = ".mtl-parent"
LIVE = ".mtl-live"
SETTINGS = re.compile(r"hydra/|hydra\.(launcher|sweeper)\.(?!params)")
"""Overrides of Hydra that belong to the command of a sweep."""
DONE, KNOWN = notes.DONE, notes.KNOWN
_open = ExitStack()


@dataclass
class Sweep:
    """The sweep that this process runs.

    Args:
        folder: of its jobs.
        store: that it is recorded in.
        parent: its run.
        total: how many jobs it has, where that is known.
    """

    folder: Path
    store: "Store"
    parent: "Recorder"
    total: int | None = None

    def watch(self, total: int) -> None:
        """Say how many jobs there will be; on a terminal, show how they are doing until the sweep ends."""
        self.total = total
        if sys.stderr.isatty():
            from mtl.cli.live import live

            (self.folder / LIVE).touch()
            _open.enter_context(live(self.folder, lambda: self.total))


_sweeps: list[Sweep] = []
_waiting: list["DictConfig"] = []
"""Of a sweep whose parent run has not begun: its configuration."""


def current() -> Sweep:
    """The sweep that this process runs; it begins where it is first asked for."""
    if _waiting:
        _begin(_waiting.pop())
    return _sweeps[-1]


class NoParentError(BaseException):
    """The sweep can't be recorded and should not begin; no `Exception`: Hydra goes on after those of a callback."""

    def __init__(self, error: MtlError) -> None:
        super().__init__(str(error))
        self.error = error


class SweepRecord(Callback):
    """Begins the parent run when a sweep begins: with our sweepers, once they know that its jobs can be composed."""

    def on_multirun_start(self, config: "DictConfig", **_: Any) -> None:
        """Begin, unless the sweeper will ask for the `current` sweep."""
        if config.hydra.sweeper._target_.startswith("hydra_plugins.mtl."):
            _waiting.append(config)
        else:
            _begin(config)


def _begin(config: "DictConfig") -> None:
    """Make the parent run and leave its id for the jobs."""
    from mtl.cli.sweep_note import note_table, sweep_name
    from mtl.tracking.earlier import at_work, end_abandoned
    from mtl.tracking.pending import sync_before
    from mtl.tracking.recorder import parent_run
    from mtl.tracking.store import open_store, tracking_uri

    tracking = config.tracking
    folder = Path(config.hydra.sweep.dir).resolve()
    try:
        store = open_store(tracking_uri(tracking.uri), tracking.experiment)
        _open.enter_context(at_work(folder))
    except MtlError as error:
        raise NoParentError(error) from error
    sync_before(store)
    end_abandoned(store)
    params = (config.hydra.sweeper.params or {}).items()
    given = [*config.hydra.overrides.task, *(f"{key}={value}" for key, value in params)]
    settings = [word for word in config.hydra.overrides.hydra if SETTINGS.match(word)]
    words = shlex.join([*settings, *given])
    tags = {"mtl.overrides": words[:5000], "mlflow.note.content": f"`mtl train -m {words}`"}
    tags["mtl.folder"] = str(folder)
    for stale in (notes.NOTES, LIVE):
        (folder / stale).unlink(missing_ok=True)
    parent = _open.enter_context(parent_run(store, sweep_name(given), tags, folder, tracking.patience))
    _open.callback(note_table, parent, given, words)
    _sweeps.append(Sweep(folder, store, parent))
    (folder / PARENT).write_text(parent.run_id, encoding="utf-8")
    print(f"sweep {parent.run_id} in experiment {tracking.experiment}", flush=True)


@contextlib.contextmanager
def closing() -> Generator[None, None, None]:
    """End the parent run however the sweep ends, and say how its jobs ended."""
    try:
        yield
    finally:
        _waiting.clear()
        said = [summary(_sweeps.pop().folder) for _ in range(len(_sweeps))]
        try:
            _open.__exit__(*sys.exc_info())
        finally:
            for text in said:
                print(text, flush=True)


def summary(sweep: Path) -> str:
    """`18 jobs: 15 done, 2 in the record already, 1 failed`, and a line for each that failed."""
    found = notes.latest(notes.read(sweep))
    ends = {job: _end(note) for job, note in found.items()}
    counts = Counter(state for state, _ in ends.values())
    states = (notes.DONE, notes.KNOWN, notes.PRUNED, notes.FAILED, notes.BEFORE)
    said = [f"{len(found)} jobs: " + ", ".join(f"{counts[state]} {state}" for state in states if counts[state])]
    said = said if found else ["no job was started"]
    for job, note in found.items():
        state, why = ends[job]
        if state in notes.BAD:
            said.append(f"  job {job} {state}: {note.name}: {why}")
    return "\n".join(said)


def _end(note: notes.Note) -> tuple[str, str]:
    """A job that said nothing more after its beginning failed: its process was killed."""
    return (notes.FAILED, "its process ended without a word") if note.state == notes.RUNNING else (note.state, note.why)


def parent_of(folder: Path | None) -> str | None:
    """Run id of the sweep's parent, for a job whose sweep has this folder."""
    if folder is None or not (folder / PARENT).exists():
        return None
    return (folder / PARENT).read_text(encoding="utf-8")


def is_watched(folder: Path | None) -> bool:
    """Whether a live summary shows the jobs of the sweep, in this process or in that which began the sweep."""
    return folder is not None and (folder / LIVE).exists()


def in_own_process() -> bool:
    """Whether this job's process is not the one that began its sweep."""
    return not _sweeps
