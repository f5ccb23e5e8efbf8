"""Single-task runs that a run is measured against."""

import logging
from collections.abc import Mapping

from mtl.functional.delta_m import delta_m
from mtl.tracking.store import Store

log = logging.getLogger(__name__)


def baseline_scores(
    store: Store, keys: Mapping[str, str], metrics: Mapping[str, str], split: str = "test"
) -> dict[str, float]:
    """For each task the score of its finished single-task run with this key, where there is exactly one.

    Args:
        store: where to look.
        keys: task name to baseline key.
        metrics: task name to primary metric.
        split: whose score; what steers training asks for `val`.
    """
    scores: dict[str, float] = {}
    if store.away:
        return scores
    for task, key in keys.items():
        query = (
            f"tags.`mtl.switching` = 'single' and tags.`mtl.baseline_key.{task}` = '{key}' "
            "and attributes.status = 'FINISHED'"
        )
        found = store.client.search_runs([store.experiment_id], query, max_results=2)
        if len(found) == 1 and (value := found[0].data.metrics.get(f"{split}/{task}/{metrics[task]}")) is not None:
            scores[task] = value
    return scores


def known_baselines(store: Store, keys: Mapping[str, str], metrics: Mapping[str, str]) -> dict[str, float]:
    """The same; nothing where the store does not answer now, and tables work Delta_m out later."""
    from mlflow.exceptions import MlflowException

    try:
        return baseline_scores(store, keys, metrics)
    except (MlflowException, OSError) as error:
        log.warning("the baselines of Delta_m could not be read: %s", (str(error).splitlines() or ["no reason"])[0])
        return {}


def run_delta_m(
    scores: Mapping[str, float], baselines: Mapping[str, float], higher: Mapping[str, bool]
) -> float | None:
    """Delta_m of a run in percent, or `None` where a task has no baseline, or one of zero."""
    if set(baselines) != set(scores) or 0 in baselines.values():
        return None
    names = list(scores)
    return delta_m([scores[n] for n in names], [baselines[n] for n in names], [higher[n] for n in names])
