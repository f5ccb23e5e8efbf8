"""What a search goes by: validation metrics of the run's tasks, and whether more of them is better."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mtl.data.task import TaskSpec
from mtl.errors import MtlError, choices

if TYPE_CHECKING:
    from mtl.tracking.store import Store

SCORE = "val/score"


def directions(wanted: Sequence[str] | str, specs: Mapping[str, TaskSpec]) -> dict[str, str]:
    """Objective -> `maximize` or `minimize`.

    Args:
        wanted: names such as `val/score` or `val/<task>/<metric>`; `tasks` stands for every task's primary metric.
        specs: the tasks of the run. Their rows are read for the names of their metrics.
    """
    allowed, primaries = {SCORE: "maximize"}, []
    for name, spec in specs.items():
        task = spec.load().task
        allowed[f"val/{name}/loss"] = "minimize"
        for metric, found in task.kind.metrics().items():
            allowed[f"val/{name}/{metric}"] = "maximize" if found.higher_is_better else "minimize"
        primaries.append(f"val/{name}/{task.metric}")
    listed = primaries if wanted == "tasks" else [wanted] if isinstance(wanted, str) else list(wanted)
    if not listed:
        raise MtlError("hydra.sweeper.objectives should name at least one metric. Found none")
    for name in listed:
        if name not in allowed:
            raise MtlError(f"hydra.sweeper.objectives should be tasks, or some of {choices(allowed)}. Found '{name}'")
    return {name: allowed[name] for name in listed}


def found_in(store: "Store", run_id: str, names: Sequence[str], selection: str) -> dict[str, float]:
    """The objectives of a finished run, of the model that it was tested with."""
    if selection == "last":
        metrics = store.client.get_run(run_id).data.metrics
        return {name: metrics[name] for name in names if name in metrics}
    history = store.client.get_metric_history(run_id, SCORE)
    if not history:
        return {}
    step = max(history, key=lambda point: point.value).step
    points = {name: store.client.get_metric_history(run_id, name) for name in names}
    return {name: point.value for name, found in points.items() for point in found if point.step == step}
