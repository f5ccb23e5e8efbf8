"""A sweep as one parent run, whichever launcher starts its jobs: they find its id in the sweep's folder."""

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from mtl.errors import MtlError

if TYPE_CHECKING:
    from omegaconf import DictConfig

PARENT = ".mtl-parent"
OUTCOMES = ".mtl-outcomes"
DONE, KNOWN = "done", "in the record already"
ENDS = (DONE, KNOWN)
_open = ExitStack()
_sweeps: list[Path] = []


class NoParentError(BaseException):
    """The sweep can't be recorded and should not begin; no `Exception`: Hydra goes on after those of a callback."""

    def __init__(self, error: MtlError) -> None:
        super().__init__(str(error))
        self.error = error


class SweepRecord(Callback):
    """Begins the parent run when a sweep begins."""

    def on_multirun_start(self, config: "DictConfig", **_: Any) -> None:
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
        except MtlError as error:
            raise NoParentError(error) from error
        sync_before(store)
        end_abandoned(store)
        params = (config.hydra.sweeper.params or {}).items()
        given = [*config.hydra.overrides.task, *(f"{key}={value}" for key, value in params)]
        words = " ".join(given)
        tags = {"mtl.overrides": words[:5000], "mlflow.note.content": f"`mtl train -m {words}`"}
        _open.enter_context(at_work(folder))
        tags["mtl.folder"] = str(folder)
        parent = _open.enter_context(parent_run(store, sweep_name(given), tags, folder, tracking.patience))
        _open.callback(note_table, parent, given)
        _sweeps.append(folder)
        (folder / PARENT).write_text(parent.run_id, encoding="utf-8")
        print(f"sweep {parent.run_id} in experiment {tracking.experiment}", flush=True)


@contextlib.contextmanager
def closing() -> Generator[None, None, None]:
    """End the parent run however the sweep ends, and say how its jobs ended."""
    try:
        yield
    finally:
        while _sweeps:
            print(summary(_sweeps.pop()), flush=True)
        _open.__exit__(*sys.exc_info())


def note_outcome(folder: Path, sweep: Path, name: str, outcome: str) -> None:
    """Leave a line on how a job ended, for the sweep's summary: jobs may be processes of their own."""
    with (sweep / OUTCOMES).open("a", encoding="utf-8") as file:
        file.write(json.dumps([folder.name, name, outcome], ensure_ascii=False) + "\n")


def summary(sweep: Path) -> str:
    """`18 jobs: 15 done, 2 in the record already, 1 failed`, and a line for each that failed."""
    path = sweep / OUTCOMES
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines]
    counts = Counter("failed" if outcome not in ENDS else outcome for _, _, outcome in found)
    said = [f"{len(found)} jobs: " + ", ".join(f"{counts[end]} {end}" for end in (*ENDS, "failed") if counts[end])]
    said += [f"  job {number} failed: {name}: {outcome}" for number, name, outcome in found if outcome not in ENDS]
    return "\n".join(said)


def parent_of(folder: Path | None) -> str | None:
    """Run id of the sweep's parent, for a job whose sweep has this folder."""
    if folder is None or not (folder / PARENT).exists():
        return None
    return (folder / PARENT).read_text(encoding="utf-8")
