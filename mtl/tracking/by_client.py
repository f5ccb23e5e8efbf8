"""Reads a store through MLflow's client: any store, at the client's pace."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mtl.tracking.earlier import member_tag
from mtl.tracking.frame import wide

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

PAGE = 1000


class ByClient:
    """Experiments, sweeps and runs of the store at `uri`."""

    def __init__(self, uri: str) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=uri)

    def experiments(self, *, deleted: bool = False) -> dict[str, str]:
        """Name to id."""
        known: dict[str, str] = {}
        token = None
        while True:
            page = self._client.search_experiments(view_type=_view(deleted), page_token=token)
            known |= {experiment.name: experiment.experiment_id for experiment in page}
            token = page.token
            if not token:
                return known

    def sweeps(self, experiment_id: str, *, deleted: bool = False) -> list[str]:
        """Run ids of the parents, newest first."""
        found = self._search(experiment_id, "tags.`mtl.role` = 'sweep'", deleted)
        return [run.info.run_id for run in sorted(found, key=lambda run: (-run.info.start_time, run.info.run_id))]

    def runs(self, experiment_id: str, parent: str | None = None) -> "pd.DataFrame":
        """The training runs, or those of one sweep, as `wide` gives them."""
        chosen = "tags.`mtl.role` = 'run'"
        queries = [chosen]
        if parent is not None:
            queries = [
                f"{chosen} and tags.`mlflow.parentRunId` = '{parent}'",
                f"{chosen} and tags.`{member_tag(parent)}` = 'true'",
            ]
        runs = {run.info.run_id: run for query in queries for run in self._search(experiment_id, query)}
        heads = [(run_id, run.info.status, run.info.start_time, run.info.end_time) for run_id, run in runs.items()]
        data = {run_id: run.data for run_id, run in runs.items()}
        return wide(
            heads,
            [(run_id, *pair) for run_id, found in data.items() for pair in found.params.items()],
            [(run_id, *pair) for run_id, found in data.items() for pair in found.tags.items()],
            [(run_id, *pair) for run_id, found in data.items() for pair in found.metrics.items()],
        )

    def _search(self, experiment_id: str, query: str, deleted: bool = False) -> "Iterator[Run]":
        """All pages."""
        token = None
        while True:
            page = self._client.search_runs(
                [experiment_id], query, run_view_type=_view(deleted), max_results=PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return


def _view(deleted: bool) -> int:
    from mlflow.entities import ViewType

    return ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
