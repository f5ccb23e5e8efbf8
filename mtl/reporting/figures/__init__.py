"""Figures of runs: `figure(kind, runs)` draws one, and every file in `kinds/` is a kind."""

import importlib
import pkgutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from mtl.errors import MtlError, choices
from mtl.reporting.figures import kinds
from mtl.reporting.figures.asked import Asked, History

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

KINDS = tuple(sorted(module.name for module in pkgutil.iter_modules(kinds.__path__)))
"""What can be drawn."""


def figure(
    kind: str,
    runs: "pd.DataFrame",
    *,
    history: History | None = None,
    by: Sequence[str] = (),
    tasks: Sequence[str] = (),
    metric: str | None = None,
    band: Literal["se", "range"] = "se",
    width: Literal["column", "page"] = "page",
    over_time: bool = False,
    alpha: float = 0.05,
) -> "Figure":
    """One figure of the finished runs; its caption is `figure.get_label()`.

    Args:
        kind: one of `KINDS`.
        runs: one row a run, with the columns of `read_runs` (`run_id`, `status`, `params.*`, `tags.*`, `metrics.*`).
        history: (run ids, metric names) -> frame with `run_id`, `metric`, `step`, `value`; for `weights`, `losses` and
            `conflict`, which show curves.
        by: what tells configurations apart: `prompt`, `weighting`, `switching`, `trunk`, `tasks` or a parameter such as
            `optimizer.lr`; by default those of the first five that vary. Runs of one configuration differ in the seed.
        tasks: only these; by default all that the runs train (`front`: the first two).
        metric: `loss`, `accuracy` and so on of each task, or (`sweep`, `parallel`) one score such as `zh_pos/f1` or
            `delta_m`; by default the primary metrics on the test split.
        band: what bands and bars are: one standard error over seeds on each side, or the range of the seeds.
        width: of a `column` (3.4 inches) or a `page` (7 inches).
        over_time: `conflict`: the cosines over the steps as well.
        alpha: `ranks`: level of the Nemenyi test.

    Raises:
        MtlError: an unknown option, no finished run, a metric that is not recorded, a seed that stands twice.
    """
    if kind not in KINDS:
        raise MtlError(f"there is no figure '{kind}'. Kinds: {choices(KINDS)}")
    for name, found, allowed in (("band", band, ("se", "range")), ("width", width, ("column", "page"))):
        if found not in allowed:
            raise MtlError(f"{name} should be {choices(allowed)}. Found '{found}'")
    if not 0 < alpha < 1:
        raise MtlError(f"alpha should be between 0 and 1. Found {alpha}")
    asked = Asked.of(
        runs, history=history, by=by, tasks=tasks, metric=metric, band=band, over_time=over_time, alpha=alpha
    )
    try:
        from mtl.reporting.figures.style import new_figure, styled
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise MtlError("figures need matplotlib: pip install 'mtl[figures]'") from None
    with styled():
        drawing = new_figure(width)
        caption = importlib.import_module(f"{kinds.__name__}.{kind}").draw(asked, drawing)
    drawing.set_label(f"{caption}{f'. Left out: {asked.left_out}' if asked.left_out else ''}.")
    return drawing
