"""What the record knows of an earlier run of the same identity, and whether a process still works at it."""

import contextlib
import fcntl
import socket
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from mtl.errors import MtlError
from mtl.tracking.keys import standings
from mtl.tracking.pending import pending
from mtl.tracking.spool import NAME, Spool, position, read
from mtl.tracking.store import Store, public

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
    """The newest run with this key that has finished, else the newest that was cut off; failed ones don't count.

    Runs of this working folder that wait in their spools are known too.
    """
    found = _in_spools(store, key)
    if found is not None or store.away:
        return found
    standing = standings(store, [key]).get(key)
    if standing is None or standing.status == "FAILED":
        return None
    return Earlier(standing.run_id, standing.status == "FINISHED", Path(standing.folder))


def _in_spools(store: Store, key: str) -> Earlier | None:
    """A run of this key that the store has not heard of yet, or not to its end."""
    for folder in pending():
        items = [item for item, _ in read(folder / NAME) if item[0] in ("run", "begin", "end")]
        header = items[0][1] if items and items[0][0] == "run" else {}
        here = (header.get("uri"), header.get("experiment")) == (public(store.uri), store.experiment)
        if here and header["tags"].get("mtl.key") == key and items[-1][:2] != ["end", "FAILED"]:
            run_id = position(folder).get("run_id") or header.get("run_id", "")
            return Earlier(run_id, items[-1][:2] == ["end", "FINISHED"], folder)
    return None


def member_tag(parent: str) -> str:
    """Tag of a run that a sweep found finished already, so that it counts among the sweep's runs."""
    return f"mtl.in_sweep.{parent}"


def join_sweep(store: Store, earlier: Earlier, parent: str | None) -> None:
    """Count a finished run among the runs of a sweep, also one that waits in its spool."""
    if parent is None:
        return
    if (earlier.folder / NAME).exists():
        with contextlib.suppress(BlockingIOError, FileNotFoundError):  # delivered this very moment
            spool = Spool(earlier.folder, patience=5)
            spool.append(["tags", {member_tag(parent): "true"}])
            spool.close()
            return
    if not store.away and earlier.run_id:
        store.client.set_tag(earlier.run_id, member_tag(parent), "true")


def end_abandoned(store: Store) -> None:
    """Runs that say they are running but whose process is gone become KILLED; they can still be gone on with.

    Only runs of this host are judged: on another one the folder may be there by chance, and its lock means nothing.
    """
    from mlflow.exceptions import MlflowException

    if store.away:
        return
    for run in store.client.search_runs([store.experiment_id], "attributes.status = 'RUNNING'"):
        folder = Path(run.data.tags.get("mtl.folder", ""))
        here = run.data.tags.get("mtl.host", host()) == host()
        if here and (folder / LOCK).exists():
            with (
                contextlib.suppress(BlockingIOError, MlflowException),
                _locked(folder),
            ):
                store.client.set_terminated(run.info.run_id, "KILLED")


def host() -> str:
    """The machine's name, the tag `mtl.host` of a run."""
    return socket.gethostname()


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
