"""How task gradients point: mean cosine of every pair, and the share of steps in which they conflict."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtl.errors import MtlError
from mtl.reporting.columns import Record
from mtl.reporting.figures.asked import Asked, Groups, say
from mtl.reporting.figures.curves import band_text, curve, plot
from mtl.reporting.figures.style import line_style, name_lines, panels

if TYPE_CHECKING:
    import pandas as pd

Pairs = Mapping[str, tuple[str, str]]


def draw(asked: Asked, figure: Figure) -> str:
    """A heat map a configuration; with `over_time` curves, a line a pair."""
    pairs = {f"gradient/{a}/{b}/cosine": (a, b) for a, b in permutations(asked.tasks, 2)}
    pairs = {metric: pair for metric, pair in pairs.items() if metric in asked.recorded}
    if not pairs:
        used = ", ".join(sorted({str(record.get("tags.mtl.weighting")) for record in asked.records}))
        raise MtlError(
            "conflict needs steps of two tasks or more in which gradients were looked at (tracking.gradients_every=N, "
            f"or a weighting that takes them): no gradient/<a>/<b>/cosine is recorded. These runs have: {used}"
        )
    history = asked.histories(list(pairs))
    having = set(history["run_id"])
    groups = {name: group for name, group in asked.groups.items() if having & {run["run_id"] for run in group}}
    without = [say(name) for name in asked.groups if name not in groups]
    end = f"; without gradients, not shown: {', '.join(without)}" if without else ""
    return (_curves if asked.over_time else _maps)(asked, figure, groups, history, pairs) + end


def _curves(asked: Asked, figure: Figure, groups: Groups, history: "pd.DataFrame", pairs: Pairs) -> str:
    columns = 3 if figure.get_figwidth() > 5 else 1
    grid, drawn = panels(figure, list(map(say, groups)), columns, 1.4, alike=True), []
    for axes, group in zip(grid, groups.values(), strict=True):
        for place, (metric, pair) in enumerate(pairs.items()):
            if line := curve(history, group, metric, asked.band):
                drawn.append(line)
                plot(axes, line, line_style(place), " – ".join(pair))
    name_lines(figure, grid)
    for axes in grid:
        axes.axhline(0, color="0.7", linewidth=0.6, zorder=0)
    figure.supxlabel("optimiser step", fontsize=7.5)
    figure.supylabel("cosine of task gradients", fontsize=7.5)
    return f"Cosines of task gradients, {asked.count(groups)}; {band_text(drawn, asked.band)}"


def _maps(asked: Asked, figure: Figure, groups: Groups, history: "pd.DataFrame", pairs: Pairs) -> str:
    T = len(asked.tasks)
    columns = min((4 if T < 4 else 3) if figure.get_figwidth() > 5 else 2, len(groups))
    grid = panels(figure, list(map(say, groups)), columns, 0.55 + 0.4 * (T - 1))
    shown = [matrices(asked.tasks, history, group, pairs) for group in groups.values()]
    largest = max(float(np.nanmax(np.abs(mean_TT))) for mean_TT, _ in shown)
    limit = max(0.1, np.ceil(10 * largest) / 10)
    for place, (axes, (mean_TT, share_TT)) in enumerate(zip(grid, shown, strict=True)):
        axes.imshow(mean_TT[1:, :-1], cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
        _write(axes, mean_TT[1:, :-1], share_TT[1:, :-1], limit)
        axes.set_xticks(range(T - 1), asked.tasks[:-1], rotation=25, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(T - 1), asked.tasks[1:])
        axes.tick_params(length=0, labelleft=place % columns == 0, labelbottom=place + columns >= len(grid))
        axes.spines[:].set_visible(False)
    bar = figure.colorbar(grid[0].images[0], ax=grid, label="mean cosine", aspect=25)
    bar.ax.yaxis.set_major_locator(MaxNLocator(5))
    bar.ax.spines[:].set_visible(False)
    return (
        "Mean cosine of task gradients over steps and seeds; in percent: share of the recorded steps in which it is "
        f"negative; {asked.count(groups)}"
    )


def matrices(
    tasks: Sequence[str], history: "pd.DataFrame", group: Sequence[Record], pairs: Pairs
) -> tuple[np.ndarray, np.ndarray]:
    """T x T mean over the runs of each one's mean cosine, and of its share of negative ones; nan: nothing recorded."""
    mean_TT, share_TT = np.full((2, len(tasks), len(tasks)), np.nan)
    mine = history[history["run_id"].isin([record["run_id"] for record in group])].dropna(subset="value")
    for metric, points in mine.groupby("metric"):
        column, row = sorted(map(tasks.index, pairs[str(metric)]))
        by_run = points.assign(negative=points["value"] < 0).groupby("run_id")[["value", "negative"]].mean()
        mean_TT[row, column], share_TT[row, column] = by_run.mean()
    return mean_TT, share_TT


def _write(axes: Axes, mean: np.ndarray, share: np.ndarray, limit: float) -> None:
    for (row, column), value in np.ndenumerate(mean):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.6 * limit else "black"
            shown = f"{round(float(value), 2) + 0.0:.2f}".replace("-", "−")
            text = f"{shown}\n{100 * share[row, column]:.0f} %"
            size = 7 if len(mean) < 4 else 5
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size, linespacing=1.1)
