"""One run of the record: written to a spool in its folder, and brought to the store from a thread of its own."""

import contextlib
import logging
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from mtl.errors import MtlError
from mtl.tracking import pending
from mtl.tracking.delivery import AT_ONCE, Delivery, GoneError
from mtl.tracking.earlier import host
from mtl.tracking.spool import Spool, points, written
from mtl.tracking.store import Store, open_store, public
from mtl.tracking.system import SystemMetrics

log = logging.getLogger(__name__)

LONGEST_PARAM = 6000
"""Limit of MLflow's REST interface."""
METRICS_A_CALL = AT_ONCE["metrics"]
GATHERED_SECONDS = 1.0
"""How long points wait for more of them: a call of the store costs as much as a hundred points in it."""
LONGEST_PAUSE = 30.0
"""Seconds between two tries at a store that is away."""
PATIENCE = 30.0


class Recorder:
    """A run that is begun when entered and always ended when left: FINISHED, FAILED with its error, or KILLED.

    Args:
        store: where to; one that is away gets the run when it is back.
        name: as people read it.
        tags: of the run.
        parent: run id of the sweep that the run belongs to.
        system_every: seconds between two records of system metrics (CPU, memory, disk, network, GPU); 0: none.
        goes_on: run id of a run that was cut off and is recorded further.
        folder: of the run, for its spool; by default a temporary one.
        patience: seconds without any progress that the end of the run waits for the store.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        tags: Mapping[str, str],
        parent: str | None = None,
        system_every: float = 0,
        goes_on: str = "",
        folder: Path | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.store, self.name, self.patience = store, name, patience
        self.system_every, self._goes_on = system_every, goes_on
        self._tags = {"mtl.host": host()} | dict(tags) | ({"mlflow.parentRunId": parent} if parent else {})
        self._folder, self._temporary = folder, folder is None
        self._wake, self._closing, self._given_up = threading.Event(), False, False
        self._moved = time.monotonic()
        self._reason, self._gone = "", False
        self._begun = threading.Event()
        self._index = Path(pending.INDEX).resolve()
        self._idle = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="mtl-recorder", daemon=True)
        self._system: SystemMetrics | None = None

    @property
    def run_id(self) -> str:
        """Of the run; empty until the store has it."""
        return self._delivery.run_id

    @property
    def delivered(self) -> bool:
        """Whether the store has all that was written so far."""
        return self._spool.delivered

    @property
    def folder(self) -> Path:
        """Where the spool is."""
        return self._spool.path.parent

    def __enter__(self) -> "Recorder":
        folder = self._folder or Path(tempfile.mkdtemp(prefix="mtl-run-"))
        header = {
            "uri": public(self.store.uri),
            "experiment": self.store.experiment,
            "name": self.name,
            "tags": self._tags,
            "start": int(time.time() * 1000),
        }
        self._written = written(folder, self._goes_on)
        try:
            self._spool = Spool(folder, header | ({"run_id": self._goes_on} if self._goes_on else {}), self.patience)
        except BlockingIOError:
            raise MtlError(f"another process delivers the record in {folder}; try again when it is done") from None
        if not self._temporary:
            pending.note(self._spool)
        if self._goes_on or self._spool.state["offset"] or self._spool.ended:
            self._spool.append(["begin"])
        self._delivery = Delivery(self._spool, self._connect)
        self._thread.start()
        if not self.store.away:
            self._begun.wait(min(self.patience, 5))
        if self.system_every:
            self._system = SystemMetrics(self.metrics, self.system_every, self._spool.header["start"] / 1000)
            self._system.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        status = "FINISHED"
        if error is not None:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            self.tags({"mtl.error": f"{type(error).__name__}: {error}"[:5000]})
        if self._system is not None:
            self._system.finish()
        in_time = self.wait(self.patience)
        refused = self._delivery.refused
        if refused and status == "FINISHED":
            status = "FAILED"
            self.tags({"mtl.error": f"{len(refused)} writes were refused, the first: {refused[0]}"[:5000]})
        self._spool.append(["end", status, int(time.time() * 1000)])
        self._closing = True
        in_time = self.wait(self.patience if in_time else 0)
        self._given_up = True
        self._wake.set()
        self._thread.join(self.patience if in_time else 0.5)
        if not self._spool.delivered:
            self._say_where()
        if refused and error is None:
            raise MtlError(
                f"{len(refused)} writes of run {self.run_id} did not reach {public(self.store.uri)}: {refused[0]}"
            )

    def _say_where(self) -> None:
        if self._temporary:
            pending.note(self._spool)
        count = points(self.folder)
        print(
            f"mtl: {count} points of {self.name} wait in {self._spool.path}: {self._reason or 'the store is slow'}; "
            "`mtl sync` delivers them",
            file=sys.stderr,
            flush=True,
        )

    def params(self, params: Mapping[str, Any]) -> None:
        """Values of up to 6,000 characters; longer ones are cut and marked (the whole is in `config.yaml`)."""
        self._write("params", {name: _short(str(value)) for name, value in params.items()})

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """One point of each metric. A step that is repeated after a kill is not written again where it is the same."""
        new = {name: value for name, value in values.items() if self._written.get((name, step)) != str(value)}
        self._written |= {(name, step): str(value) for name, value in new.items() if (name, step) in self._written}
        if new:
            self._write("metrics", new, int(time.time() * 1000), step)

    def tags(self, tags: Mapping[str, str]) -> None:
        """Tags that are known only now."""
        self._write("tags", {name: str(value) for name, value in tags.items()})

    def text(self, text: str, path: str) -> None:
        """A text artifact."""
        self._spool.append(["text", path, text])

    def artifact(self, file: Path, folder: str | None = None) -> None:
        """A file; it is copied when its turn comes, so it should stay where it is until it is delivered."""
        file, own = file.resolve(), self.folder.resolve()
        self._spool.append(["file", str(file.relative_to(own) if file.is_relative_to(own) else file), folder])

    def dataset(self, name: str, digest: str, context: str, profile: str) -> None:
        """A dataset's name and digest among the run's inputs."""
        self._spool.append(["dataset", name, digest, context, profile])

    def _write(self, kind: str, values: Mapping[str, Any], *before: Any) -> None:
        """A line, or as many as MLflow takes calls for it."""
        if len(values) <= AT_ONCE[kind]:
            self._spool.append([kind, *before, values])
            return
        names = list(values)
        for start in range(0, len(names), AT_ONCE[kind]):
            self._spool.append([kind, *before, {name: values[name] for name in names[start : start + AT_ONCE[kind]]}])

    def wait(self, seconds: float) -> bool:
        """Until all that was written so far is in the store, or nothing has moved for `seconds`; whether it is."""
        self._moved = time.monotonic()
        self._wake.set()
        with self._idle:
            while not self._spool.delivered and self._thread.is_alive():
                rest = self._moved + seconds - time.monotonic()
                if rest <= 0 or self._gone:
                    break
                self._idle.wait(min(rest, 1))
        return self._spool.delivered

    # the thread

    def _connect(self) -> Store:
        return open_store(self.store.uri, self.store.experiment) if self.store.away else self.store

    def _work(self) -> None:
        pause = 0.0
        while not (self._given_up or (self._closing and self._spool.delivered)):
            try:
                while not self._given_up and self._delivery.step():
                    self._progress()
                pause, self._reason = GATHERED_SECONDS, ""
            except Exception as error:
                pause = self._away(error, pause)
            with self._idle:
                self._idle.notify_all()
            if not (self._closing and self._spool.delivered):
                self._wake.wait(pause)
                self._wake.clear()
        self._leave()

    def _progress(self) -> None:
        self._moved, self._reason, self._gone = time.monotonic(), "", False
        if self._delivery.run_id:
            self._begun.set()

    def _away(self, error: Exception, pause: float) -> float:
        """Say so once; the seconds until the next try."""
        self._gone = isinstance(error, GoneError)
        if not self._reason:
            self._reason = (str(error).splitlines() or [type(error).__name__])[0]
            log.warning(
                "%s does not take the record for now (%s); training goes on", public(self.store.uri), self._reason
            )
        return min(max(2 * pause, GATHERED_SECONDS), 2 if self._closing else LONGEST_PAUSE)

    def _leave(self) -> None:
        """Nothing stays of a spool that is delivered; another is left to `mtl sync`."""
        if self._spool.delivered:
            self._spool.remove()
            pending.forget(self._spool.header["id"], self._index)
            if self._temporary:
                shutil.rmtree(self.folder, ignore_errors=True)
        else:
            self._spool.close()


def _short(value: str) -> str:
    return value if len(value) <= LONGEST_PARAM else value[: LONGEST_PARAM - 1] + "…"


@contextlib.contextmanager
def parent_run(
    store: Store, name: str, tags: Mapping[str, str], folder: Path | None = None, patience: float = PATIENCE
) -> Generator[Recorder]:
    """The run that a sweep's jobs are children of. One that is deleted while they run doesn't stop them."""
    with Recorder(store, name, {**tags, "mtl.role": "sweep"}, folder=folder, patience=patience) as recorder:
        if not recorder.run_id and not recorder.wait(patience):
            raise MtlError(f"the store {public(store.uri)} does not take the sweep's own run; is it locked?")
        yield recorder
