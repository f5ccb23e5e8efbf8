"""A spool's lines brought to MLflow, in batches. A batch that arrives twice changes nothing, so each counts once."""

from collections.abc import Callable
from typing import Any

from mtl.tracking.spool import Item, Spool
from mtl.tracking.store import Store

AT_ONCE = {"metrics": 1000, "params": 100, "tags": 100}
"""Limits of MLflow's REST interface, and 1,000 of all."""
NEVER = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "MALFORMED_REQUEST"}
TRIES = 3
"""Of a write that the store calls bad without saying why."""


class GoneError(Exception):
    """The run was deleted in the store while it was recorded."""


class Delivery:
    """Brings what waits in a spool to the store; any exception of `step` means: later again.

    A run is made once: its tag `mtl.spool` is looked for where an earlier making may have reached the store unheard.

    Args:
        spool: held by this process.
        connect: opens the store.
    """

    def __init__(self, spool: Spool, connect: Callable[[], Store]) -> None:
        self.spool, self._connect = spool, connect
        self._store: Store | None = None
        self.refused: list[str] = []
        self.count = 0
        """Points that arrived."""
        self._failed: dict[int, int] = {}

    @property
    def store(self) -> Store:
        """The open store."""
        if self._store is None:
            self._store = self._connect()
        return self._store

    @property
    def run_id(self) -> str:
        """Of the run; empty until the store has it."""
        return self.spool.state["run_id"]

    def step(self) -> bool:
        """Deliver the next batch; `False` where nothing waits."""
        entities: list[tuple[str, Any]] = []
        counts = dict.fromkeys(AT_ONCE, 0)
        end = self.spool.state["offset"]
        single: Item | None = None
        for item, ends in self.spool.waiting():
            if item[0] not in AT_ONCE:
                single = item if not entities else None
                end = ends if not entities else end
                break
            size = len(item[-1])
            if entities and (counts[item[0]] + size > AT_ONCE[item[0]] or len(entities) + size > 1000):
                break
            counts[item[0]] += size
            entities += [(item[0], entity) for entity in _entities(item)]
            end = ends
        if end == self.spool.state["offset"]:
            return False
        if single is not None:
            self._single(single)
        elif entities:
            self._batch(entities)
        self.spool.keep(offset=end)
        return True

    def _batch(self, entities: list[tuple[str, Any]]) -> None:
        """One call; halves where the store refuses it, so that what is good arrives."""
        run_id = self._run()
        parts: dict[str, Any] = {kind: [entity for of, entity in entities if of == kind] for kind in AT_ONCE}
        try:
            self.store.client.log_batch(run_id, **parts)
            self.count += len(parts["metrics"])
        except Exception as error:
            self._require_final(error)
            if len(entities) == 1:
                kind, entity = entities[0]
                self._refuse([kind, vars(entity)], error)
            else:
                self._batch(entities[: len(entities) // 2])
                self._batch(entities[len(entities) // 2 :])

    def _single(self, item: Item) -> None:
        kind, *rest = item
        if kind == "run":
            self._run()
            return
        run_id, client = self._run(), self.store.client
        try:
            match kind:
                case "text":
                    client.log_text(run_id, rest[1], rest[0])
                case "file":
                    client.log_artifact(run_id, str(self.spool.path.parent / rest[0]), rest[1])
                case "dataset":
                    client.log_inputs(run_id, [_dataset(*rest)])
                case "begin":
                    client.update_run(run_id, "RUNNING")
                case "end":
                    client.set_terminated(run_id, rest[0], rest[1])
                case _:
                    self._refuse(item, ValueError("no line that mtl writes"))
        except Exception as error:
            self._require_final(error)
            self._refuse(item, error)

    def _run(self) -> str:
        """The run id, made where there is none."""
        if self.run_id:
            return self.run_id
        header, client, experiment = self.spool.header, self.store.client, self.store.experiment_id
        found = []
        if self.spool.state.get("making"):
            query = f"tags.`mtl.spool` = '{header['id']}'"
            found = client.search_runs([experiment], query, order_by=["attributes.start_time", "attributes.run_id"])
        else:
            self.spool.keep(making=True)
        tags = {**header["tags"], "mtl.spool": header["id"]}
        run = found[0] if found else client.create_run(experiment, header["start"], tags, header["name"])
        self.spool.keep(run_id=run.info.run_id)
        for twin in found[1:]:  # an earlier making went through after all
            client.delete_run(twin.info.run_id)
        return run.info.run_id

    def _require_final(self, error: Exception) -> None:
        """Raise again what may go through later."""
        code = getattr(error, "error_code", "")
        if code == "BAD_REQUEST":
            offset = self.spool.state["offset"]
            self._failed[offset] = self._failed.get(offset, 0) + 1
            if self._failed[offset] < TRIES:
                raise error
        elif code not in NEVER and not isinstance(error, FileNotFoundError | ValueError):
            raise error
        if self._deleted():
            raise GoneError(f"run {self.run_id} is deleted in {self.store.uri}") from error

    def _deleted(self) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return self.store.client.get_run(self.run_id).info.lifecycle_stage == "deleted"
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return True

    def _refuse(self, item: Item, error: Exception) -> None:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        self.spool.refuse(item, reason)
        if item[0] == "params" and "Changing param" in str(error):
            return  # a run that goes on under another value of what can't change its result: the first one stays
        self.refused.append(f"{item[0]}: {reason}")


def _entities(item: Item) -> list[Any]:
    from mlflow.entities import Metric, Param, RunTag

    if item[0] == "metrics":
        _, ms, step, values = item
        return [Metric(name, value, ms, step) for name, value in values.items()]
    make = Param if item[0] == "params" else RunTag
    return [make(name, value) for name, value in item[1].items()]


def _dataset(name: str, digest: str, context: str, profile: str) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(name, digest[:36], "mtl", "{}", profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])
