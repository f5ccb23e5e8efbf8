"""Curves of runs that differ in the seed, as one line and a band."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mtl.reporting.columns import Record

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BANDS = {"se": "one standard error over seeds on each side of the mean", "range": "the range of the seeds"}


class Curve(NamedTuple):
    """S steps; mean over n seeds, lower and upper edge of the band (the mean itself for one seed), S numbers each."""

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: int


def curve(history: "pd.DataFrame", group: Sequence[Record], metric: str, band: str) -> Curve | None:
    """The group's curve at the steps that all of its runs with this metric recorded; None where no run has it.

    A value that is nan in one run is nan in the mean.
    """
    found = history[(history["metric"] == metric) & history["run_id"].isin([record["run_id"] for record in group])]
    if found.empty:
        return None
    n = found["run_id"].nunique()
    at_step = {step: values.to_numpy(float) for step, values in found.groupby("step")["value"] if len(values) == n}
    steps_S, values_SN = np.array(list(at_step)), np.array(list(at_step.values())).reshape(len(at_step), n)
    mean_S = values_SN.mean(axis=1)
    if n == 1:
        low_S = high_S = mean_S
    elif band == "range":
        low_S, high_S = values_SN.min(axis=1), values_SN.max(axis=1)
    else:
        error_S = values_SN.std(axis=1, ddof=1) / np.sqrt(n)
        low_S, high_S = mean_S - error_S, mean_S + error_S
    return Curve(steps_S, mean_S, low_S, high_S, n)


def plot(axes: "Axes", line: Curve, look: dict[str, Any], label: str) -> None:
    """The line, and its band where there is more than one seed."""
    if line.n > 1:
        axes.fill_between(line.steps, line.low, line.high, color=look["color"], alpha=0.2, linewidth=0)
    marker: dict[str, Any] = {"marker": "o", "markersize": 2.5} if len(line.steps) < 8 else {}
    axes.plot(line.steps, line.mean, label=label, **look, **marker)


def band_text(lines: Sequence[Curve], band: str) -> str:
    """What the bands are."""
    counts = sorted({line.n for line in lines})
    if counts in ([], [1]):
        return "one seed, so no bands"
    seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"lines: mean over {seeds} seeds; bands: {BANDS[band]}"
