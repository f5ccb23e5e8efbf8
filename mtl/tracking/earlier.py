"""What the record knows of an earlier run of the same identity, and whether a process still works at it."""

import contextlib
import fcntl
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from mtl.errors import MtlError
from mtl.tracking.store import Store

LOCK = ".at-work"


@dataclass(frozen=True)
class Earlier:
    """A run that has the same key.

    Args:
        run_id: of the run.
        finished: it need not be trained again.
        folder: where it kept its files.
    """

    run_id: str
    finished: bool
    folder: Path


def earlier_run(store: Store, key: str) -> Earlier | None:
    """The newest run with this key that has finished, else the newest that was cut off; failed ones don't count."""
    query = f"tags.`mtl.key` = '{key}' and attributes.status != 'FAILED'"
    found = store.client.search_runs([store.experiment_id], query, order_by=["attributes.start_time DESC"])
    runs = [Earlier(r.info.run_id, r.info.status == "FINISHED", Path(r.data.tags.get("mtl.folder", ""))) for r in found]
    return next((run for run in runs if run.finished), runs[0] if runs else None)


def member_tag(parent: str) -> str:
    """Tag of a run that a sweep found finished already, so that it counts among the sweep's runs."""
    return f"mtl.in_sweep.{parent}"


def join_sweep(store: Store, run_id: str, parent: str | None) -> None:
    """Count a finished run among the runs of a sweep."""
    if parent is not None:
        store.client.set_tag(run_id, member_tag(parent), "true")


def end_abandoned(store: Store) -> None:
    """Runs that say they are running but whose process is gone become KILLED; they can still be gone on with."""
    for run in store.client.search_runs([store.experiment_id], "attributes.status = 'RUNNING'"):
        folder = Path(run.data.tags.get("mtl.folder", ""))
        if (folder / LOCK).exists():
            with contextlib.suppress(BlockingIOError), _locked(folder):
                store.client.set_terminated(run.info.run_id, "KILLED")


@contextlib.contextmanager
def at_work(folder: Path) -> Generator[None, None, None]:
    """Hold the folder for as long as this process works at its run; MtlError where another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(_locked(folder))
        except BlockingIOError:
            raise MtlError(f"another process is training this very run in {folder}") from None
        yield


@contextlib.contextmanager
def _locked(folder: Path) -> Generator[None, None, None]:
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
