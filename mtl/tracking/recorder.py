"""One run of the record, written from a thread of its own so that training never waits for the store."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Mapping
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mtl.errors import MtlError
from mtl.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Metric

log = logging.getLogger(__name__)

PARAMS_A_CALL, METRICS_A_CALL, LONGEST_PARAM = 100, 1000, 6000
"""Limits of MLflow's REST interface."""
GATHERED_SECONDS = 1.0
"""How long points wait for more of them: a call of the store costs as much as a hundred points in it."""

Write = Callable[[], object]


class Recorder:
    """A run that is begun when entered and always ended when left: FINISHED, FAILED with its error, or KILLED.

    Args:
        store: where to.
        name: as people read it.
        tags: of the run.
        parent: run id of the sweep that the run belongs to.
        system_every: seconds between two records of system metrics (CPU, memory, disk, network, GPU); 0: none.
        goes_on: run id of a run that was cut off and is recorded further.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        tags: Mapping[str, str],
        parent: str | None = None,
        system_every: float = 0,
        goes_on: str = "",
    ) -> None:
        self.store, self.name, self.parent = store, name, parent
        self.system_every = system_every
        self.tags_at_start = dict(tags)
        self.run_id = goes_on
        self._queue: queue.Queue[Write | list[Metric] | None] = queue.Queue()
        self._failed: list[Write] = []
        self._thread = threading.Thread(target=self._work, name="mtl-recorder", daemon=True)
        self._monitor: Any = None

    def __enter__(self) -> "Recorder":
        resumed = bool(self.run_id)
        tags = self.tags_at_start | ({"mlflow.parentRunId": self.parent} if self.parent else {})
        if self.run_id:
            self.store.client.update_run(self.run_id, "RUNNING")
        else:
            self.run_id = self.store.client.create_run(
                self.store.experiment_id, run_name=self.name, tags=tags
            ).info.run_id
        self._thread.start()
        if self.system_every:
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            self._monitor = SystemMetricsMonitor(
                self.run_id, self.system_every, tracking_uri=self.store.uri, resume_logging=resumed
            )
            self._monitor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        status = "FINISHED"
        if error is not None:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            self.tags({"mtl.error": f"{type(error).__name__}: {error}"[:5000]})
        if self._monitor is not None:
            self._monitor.finish()
        self._queue.put(None)
        self._thread.join()
        self._deliver_late()
        self.store.client.set_terminated(self.run_id, status)

    def params(self, params: Mapping[str, Any]) -> None:
        """Values of up to 6,000 characters; longer ones are cut and marked (the whole is in `config.yaml`)."""
        from mlflow.entities import Param

        kept = [Param(name, _short(str(value))) for name, value in params.items()]
        for start in range(0, len(kept), PARAMS_A_CALL):
            part = kept[start : start + PARAMS_A_CALL]
            self._later(lambda part=part: self.store.client.log_batch(self.run_id, params=part))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """One point of each metric."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(name, value, now, step) for name, value in values.items()]
        for start in range(0, len(points), METRICS_A_CALL):
            self._queue.put(points[start : start + METRICS_A_CALL])

    def tags(self, tags: Mapping[str, str]) -> None:
        """Tags that are known only now."""
        from mlflow.entities import RunTag

        kept = [RunTag(name, str(value)) for name, value in tags.items()]
        self._later(lambda: self.store.client.log_batch(self.run_id, tags=kept))

    def text(self, text: str, path: str) -> None:
        """A text artifact."""
        self._later(lambda: self.store.client.log_text(self.run_id, text, path))

    def artifact(self, file: Path, folder: str | None = None) -> None:
        """A file; it is copied before this returns to the queue's turn, so it should stay until the run has ended."""
        self._later(lambda: self.store.client.log_artifact(self.run_id, str(file), folder))

    def dataset(self, name: str, digest: str, context: str, profile: str) -> None:
        """A dataset's name and digest among the run's inputs."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name, digest[:36], "mtl", "{}", profile=profile)
        entry = DatasetInput(dataset, [InputTag("mlflow.data.context", context)])
        self._later(lambda: self.store.client.log_inputs(self.run_id, [entry]))

    def _later(self, write: Write) -> None:
        self._queue.put(write)

    def _work(self) -> None:
        """In their order. Points wait for more of them, until something else comes, a call is full or time is up."""
        waiting: list[list[Metric]] = []
        due = 0.0
        item: Write | list[Metric] | None = _nothing
        while item is not None:
            try:
                item = self._queue.get(timeout=max(due - time.monotonic(), 0) if waiting else None)
            except queue.Empty:
                item = _nothing
            fits = isinstance(item, list) and sum(map(len, waiting)) + len(item) <= METRICS_A_CALL
            if waiting and not fits:
                self._try(self._points(list(chain(*waiting))), [self._points(points) for points in waiting])
                waiting = []
            if isinstance(item, list):
                due = due if waiting else time.monotonic() + GATHERED_SECONDS
                waiting.append(item)
            elif item is not None:
                self._try(item, [item])

    def _points(self, points: "list[Metric]") -> Write:
        return lambda: self.store.client.log_batch(self.run_id, metrics=points)

    def _try(self, write: Write, again: list[Write]) -> None:
        """Write; keep `again` for the end where the store does not take it."""
        try:
            write()
        except Exception:
            if not self._failed:
                log.warning("the store %s did not take a write; it is tried again at the end", self.store.uri)
            self._failed += again

    def _deliver_late(self) -> None:
        lost = 0
        reason: Exception | None = None
        for write in self._failed:
            try:
                write()
            except Exception as error:
                lost, reason = lost + 1, error
        if reason is not None:
            with contextlib.suppress(Exception):
                self.store.client.set_terminated(self.run_id, "FAILED")
            raise MtlError(f"{lost} writes of run {self.run_id} did not reach {self.store.uri}: {reason}") from reason


def _nothing() -> None:
    """What is to do when no more points came in time."""


def _short(value: str) -> str:
    return value if len(value) <= LONGEST_PARAM else value[: LONGEST_PARAM - 1] + "…"


@contextlib.contextmanager
def parent_run(store: Store, name: str, tags: Mapping[str, str]) -> Generator[Recorder, None, None]:
    """The run that a sweep's jobs are children of."""
    with Recorder(store, name, {**tags, "mtl.role": "sweep"}) as recorder:
        yield recorder
