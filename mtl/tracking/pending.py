"""Which spools the working folder's runs have left: a small file each in `.mtl-spools`, gone when it is delivered."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mtl.tracking.delivery import Delivery
from mtl.tracking.spool import NAME, Spool, read
from mtl.tracking.store import Store, open_store, public, tracking_uri

INDEX = ".mtl-spools"


def note(spool: Spool) -> None:
    """Remember a spool."""
    index = Path(INDEX)
    index.mkdir(exist_ok=True)
    (index / spool.header["id"]).write_text(str(spool.path.parent.resolve()), encoding="utf-8")


def forget(identity: str, index: Path) -> None:
    """A spool is delivered."""
    (index / identity).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        index.rmdir()


def pending(index: Path = Path(INDEX)) -> Iterator[Path]:
    """Folders of spools that wait; oldest first."""
    found = []
    for entry in index.glob("*") if index.is_dir() else []:
        with contextlib.suppress(OSError):
            folder = Path(entry.read_text(encoding="utf-8"))
            if (folder / NAME).exists():
                found.append(((folder / NAME).stat().st_mtime, folder))
            else:
                forget(entry.name, index)
    return iter([folder for _, folder in sorted(found)])


@dataclass(frozen=True)
class Synced:
    """What came of the delivery of one spool: points that arrived, why it stopped, what the store refused."""

    folder: Path
    name: str
    points: int = 0
    run_id: str = ""
    waits: str = ""
    refused: tuple[str, ...] = ()


def sync(folder: Path, uri: str | None = None, at_work: bool = True) -> Synced:
    """Deliver the spool of a folder.

    Args:
        folder: of a run.
        uri: of the store; by default the one that the spool names.
        at_work: says so where a process is at work on the run; else that is no news.
    """
    try:
        spool = Spool(folder)
    except BlockingIOError:
        return Synced(folder, folder.name, waits="a process is at work on it and delivers it itself" if at_work else "")
    except OSError as error:
        return Synced(folder, folder.name, waits=error.strerror or str(error))
    if not spool.header:
        spool.close()
        return Synced(folder, folder.name, waits="the spool is empty")
    if not spool.ended:
        stopped = int(1000 * spool.path.stat().st_mtime)
        spool.append(["end", "KILLED", stopped])  # we hold it, so its process is gone
    delivery = Delivery(spool, lambda: open_store(uri or address(spool.header["uri"]), spool.header["experiment"]))
    why = ""
    try:
        while delivery.step():
            pass
        spool.remove()
        forget(spool.header["id"], Path(INDEX))
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
    finally:
        spool.close()
    return Synced(folder, spool.header["name"], delivery.count, delivery.run_id, why, tuple(delivery.refused))


def address(kept: str) -> str:
    """A spool keeps its store's address without a password; the one in use now may have it."""
    now = tracking_uri()
    return now if public(now) == kept else kept


def sync_before(store: Store, seconds: float = 10) -> None:
    """Deliver what earlier runs of this working folder left for the same store; goes on behind after `seconds`."""
    waiting = [folder for folder in pending() if _for(folder, store)]
    if not waiting or store.away:
        return

    def work() -> None:
        for folder in waiting:
            sync(folder, store.uri, at_work=False)

    thread = threading.Thread(target=work, name="mtl-sync", daemon=True)
    thread.start()
    thread.join(seconds)


def _for(folder: Path, store: Store) -> bool:
    header = next(read(folder / NAME), None)
    return header is not None and header[0][1].get("uri") == public(store.uri)
