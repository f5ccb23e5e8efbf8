"""What the record knows of an earlier run of the same identity, and whether a process still works at it."""

import contextlib
import fcntl
import socket
from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mtl.errors import MtlError
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

    Runs of this working folder that wait in their spools are known too. What is finished stays so: such keys are read
    once a process (see `finished_keys`); all others are asked for each time.
    """
    found = _in_spools(store, key)
    if found is not None or store.away:
        return found
    if (known := finished_keys(store).get(key)) is not None:
        return known
    query = f"tags.`mtl.key` = '{key}' and attributes.status != 'FAILED'"
    runs = [
        Earlier(run.info.run_id, run.info.status == "FINISHED", Path(run.data.tags.get("mtl.folder", "")))
        for run in store.client.search_runs([store.experiment_id], query, order_by=["attributes.start_time DESC"])
    ]
    return next((run for run in runs if run.finished), runs[0] if runs else None)


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


_finished: dict[tuple[str, str], dict[str, Earlier]] = {}
_asked: Counter[tuple[str, str]] = Counter()
WORTH = 20
"""Keys that a server is asked for one by one before all finished ones are fetched, in pages."""


def finished_keys(store: Store) -> Mapping[str, Earlier]:
    """Every finished run of the experiment by its key (the newest of each), read once a process: 1,000 keys cost one
    query of a database; of a server some pages, and so only from the `WORTH`-th time on (empty before).
    """
    place = (store.uri, store.experiment_id)
    _asked[place] += 1
    if place not in _finished:
        if not store.uri.startswith(("http://", "https://")):
            _finished[place] = _from_database(store)
        elif _asked[place] <= WORTH:
            return {}
        else:
            _finished[place] = _from_server(store)
    return _finished[place]


def _from_database(store: Store) -> dict[str, Earlier]:
    from sqlalchemy import create_engine, text

    query = text(
        "SELECT k.value, r.run_uuid, f.value FROM runs r JOIN tags k ON k.run_uuid = r.run_uuid AND k.key = 'mtl.key' "
        "LEFT JOIN tags f ON f.run_uuid = r.run_uuid AND f.key = 'mtl.folder' WHERE r.experiment_id = :experiment "
        "AND r.status = 'FINISHED' AND r.lifecycle_stage = 'active' ORDER BY r.start_time"
    )
    engine = create_engine(store.uri)
    try:
        with engine.connect() as connection:
            rows = connection.execute(query, {"experiment": int(store.experiment_id)}).all()
    finally:
        engine.dispose()
    return {key: Earlier(run_id, True, Path(folder or "")) for key, run_id, folder in rows}


def _from_server(store: Store) -> dict[str, Earlier]:
    found: dict[str, Earlier] = {}
    token = None
    while True:
        query, order = "attributes.status = 'FINISHED'", ["attributes.start_time"]
        page = store.client.search_runs(
            [store.experiment_id], query, max_results=1000, order_by=order, page_token=token
        )
        for run in page:
            if key := run.data.tags.get("mtl.key"):
                found[key] = Earlier(run.info.run_id, True, Path(run.data.tags.get("mtl.folder", "")))
        token = page.token
        if not token:
            return found


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
