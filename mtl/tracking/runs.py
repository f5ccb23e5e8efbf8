"""Every run of an experiment as one row of a frame, read from the MLflow store."""

import difflib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mtl.errors import MtlError
from mtl.tracking.earlier import member_tag
from mtl.tracking.store import database, quiet

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000


def read_runs(uri: str, experiment: str, *, sweep: str | None = None) -> "pd.DataFrame":
    """One row a training run, newest first, with the columns of `mlflow.search_runs` (`run_id`, `tags.<name>`...).

    Args:
        uri: of the store, such as `sqlite:///mlflow.db`.
        experiment: its name.
        sweep: only the runs of one sweep, by the beginning of its parent's run id; `last` is the newest. Runs that
            the sweep found finished already belong to it too.
    """
    quiet()
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    _require_store(uri)
    try:
        client = MlflowClient(tracking_uri=uri)
        number = _experiment_id(client, uri, experiment)
        chosen = "tags.`mtl.role` = 'run'"
        queries = [chosen]
        if sweep is not None:
            parent = _parent_id(client, number, experiment, sweep)
            queries = [
                f"{chosen} and tags.`mlflow.parentRunId` = '{parent}'",
                f"{chosen} and tags.`{member_tag(parent)}` = 'true'",
            ]
        found = {run.info.run_id: run for query in queries for run in _search(client, number, query)}
        rows = [_row(run) for run in sorted(found.values(), key=lambda run: -run.info.start_time)]
    except MlflowException as error:
        raise MtlError(f"the store {_public(uri)} cannot be read: {str(error).splitlines()[0]}") from error
    return pd.DataFrame(rows or {"run_id": [], "status": [], "start_time": []}).astype(
        {"start_time": "datetime64[ms, UTC]"}
    )


def _search(client: "MlflowClient", experiment_id: str, chosen: str) -> "Iterator[Run]":
    """All pages."""
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], chosen, max_results=PAGE, order_by=["attributes.start_time DESC"], page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def _row(run: "Run") -> dict[str, Any]:
    head = {"run_id": run.info.run_id, "status": run.info.status, "start_time": run.info.start_time}
    groups = {"params": run.data.params, "tags": run.data.tags, "metrics": run.data.metrics}
    return head | {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}


def _experiment_id(client: "MlflowClient", uri: str, name: str) -> str:
    known: dict[str, str] = {}
    token = None
    while True:
        page = client.search_experiments(page_token=token)
        known |= {experiment.name: experiment.experiment_id for experiment in page}
        token = page.token
        if not token:
            break
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There is: {', '.join(sorted(known))}"
    raise MtlError(f"there is no experiment '{name}' in {_public(uri)}. {hint}")


def _parent_id(client: "MlflowClient", experiment_id: str, experiment: str, sweep: str) -> str:
    """The run id of the sweep's parent."""
    parents = [run.info.run_id for run in _search(client, experiment_id, "tags.`mtl.role` = 'sweep'")]
    found = parents[:1] if sweep == "last" else [run_id for run_id in parents if run_id.startswith(sweep)]
    if len(found) == 1:
        return found[0]
    if found:
        raise MtlError(f"sweep: '{sweep}' begins the run ids of {len(found)} sweeps: {', '.join(found)}")
    listed = ", ".join(parents[:10]) or "none"
    raise MtlError(f"sweep: there is no '{sweep}' in experiment {experiment}. Its sweeps, newest first: {listed}")


def _require_store(uri: str) -> None:
    """A reader does not create an empty store."""
    path = database(uri)
    if path is not None and not path.exists():
        raise MtlError(f"there is no record yet: {path} does not exist. `mtl train` makes it")


def _public(uri: str) -> str:
    """The address without a password."""
    return re.sub(r"//[^/@]*@", "//", uri)
