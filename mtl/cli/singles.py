"""Single-task scores for a switching that is steered by them."""

from mtl.cli.build import Run
from mtl.errors import MtlError
from mtl.strategies.switching.order.curriculum import Curriculum
from mtl.tracking.baselines import baseline_scores
from mtl.tracking.store import Store


def tell_baselines(run: Run, store: Store) -> None:
    """Hand the validation scores of the single-task runs to a rate or order that needs them.

    Never their test scores: what steers training may not see those. MtlError says how to get runs that are missing.
    """
    rate, order = run.plan.rate, run.plan.order
    unmeasured = isinstance(order, Curriculum) and order.places is None
    if not (rate.needs_baselines or unmeasured):
        return
    tasks = run.module.tasks
    found = baseline_scores(store, run.baseline_keys, {name: task.metric for name, task in tasks.items()}, "val")
    if missing := [name for name in tasks if name not in found]:
        names = ",".join(missing)
        raise MtlError(
            f"switching: this {'order' if unmeasured else 'rate'} compares with single-task runs. There is none of "
            f"{names} with these settings and this seed: mtl train -m switching=single switching.task={names} and the "
            "same options, seed included"
        )
    scores = {name: score if tasks[name].higher_is_better else -score for name, score in found.items()}
    if rate.needs_baselines:
        rate.baselines(scores)
    if unmeasured:
        assert isinstance(order, Curriculum)
        order.measured({name: 1 - score for name, score in scores.items()})
