"""The pictures of a page on switching, each as SVG text: matrices between tasks, and lines over the steps."""

import io
import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from mtl.functional.switch_cost import Estimate
from mtl.functional.switch_summary import Summary
from mtl.functional.switch_visits import Visit
from mtl.reporting.figures.style import Drawing, line_style, new_figure, styled

Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]
HARM, HELP = "PuOr_r", "PuOr"
"""Orange is harm: high costs, low affinities."""
BINS = 400


def matrix_of(estimates: Mapping[tuple[int, int], Estimate], num_tasks: int) -> np.ndarray:
    """T x T means, nan where there is no sample."""
    found = np.full((num_tasks, num_tasks), np.nan)
    for pair, estimate in estimates.items():
        found[pair] = estimate.mean
    return found


def matrices(tasks: Sequence[str], shown: Mapping[str, tuple[np.ndarray, str]], across: str, down: str) -> str:
    """Heat maps side by side, each with a colour scale of its own about 0.

    Args:
        tasks: T names.
        shown: title -> T x T values and `HARM` or `HELP`.
        across: what the columns are.
        down: what the rows are.
    """
    T, count = len(tasks), len(shown)
    with styled():
        figure = new_figure("page")
        size = max(1.3, 0.48 * T + 0.4)
        figure.set_size_inches(max(count * (size + 0.3) + 0.9, 3), size + 1.1)
        grid = figure.subplots(1, count, squeeze=False)[0]
        for place, (axes, (title, (values, colours))) in enumerate(zip(grid, shown.items(), strict=True)):
            _heat(axes, values, colours, beside=~np.eye(T, dtype=bool))
            axes.set_title(title)
            axes.set_xticks(range(T), tasks, rotation=30, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(T), tasks if place == 0 else [""] * T)
            axes.set_xlabel(across)
        grid[0].set_ylabel(down)
        return svg(figure)


def layers(summary: Summary) -> str:
    """Mean cosine of each pair of tasks (columns) at each place where gradients were compared (rows)."""
    tasks, places = summary.trace.tasks, list(summary.conflicts)
    pairs = list(combinations(range(len(tasks)), 2))
    values = np.array([[float(summary.conflicts[place].cosine[pair]) for pair in pairs] for place in places])
    with styled():
        figure = new_figure("page")
        figure.set_size_inches(max(2.2 + 0.75 * len(pairs), 3.6), 0.9 + 0.26 * len(places))
        axes = figure.subplots()
        _heat(axes, values, HELP)
        axes.set_aspect("auto")
        axes.set_yticks(range(len(places)), places)
        names = [f"{tasks[i]}\n{tasks[j]}" for i, j in pairs]
        axes.set_xticks(range(len(pairs)), names, rotation=0 if len(pairs) < 7 else 60)
        return svg(figure)


def _heat(axes: Axes, values: np.ndarray, colours: str, beside: np.ndarray | None = None) -> None:
    """Colours reach as far as the largest value; those that are not in `beside` may be larger."""
    finite = np.abs(values[np.isfinite(values) & (True if beside is None or len(beside) == 1 else beside)])
    limit = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    axes.imshow(np.ma.masked_invalid(values), cmap=colours, norm=TwoSlopeNorm(0, -limit, limit))
    axes.set_facecolor("0.94")
    for (row, column), value in np.ndenumerate(values):
        if math.isfinite(value):
            colour = "white" if abs(value) > 0.6 * limit else "black"
            axes.text(column, row, short(value), ha="center", va="center", color=colour, fontsize=6)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def timeline(summary: Summary) -> str:
    """Which task trained when: the share of the steps in each of up to 400 stretches."""
    trace, T = summary.trace, len(summary.trace.tasks)
    shares = trained(trace.visits, T, min(trace.steps, BINS))
    with styled():
        figure = new_figure("page")
        figure.set_size_inches(9.4, 0.55 + 0.24 * T)
        axes = figure.subplots()
        colours = np.ones((*shares.shape, 3))
        for task in range(T):
            tint = np.array([int(line_style(task)["color"][k : k + 2], 16) / 255 for k in (1, 3, 5)])
            colours[task] = 1 - shares[task][:, None] * (1 - tint)
        axes.imshow(colours, aspect="auto", interpolation="nearest", extent=(0, trace.steps, T - 0.5, -0.5))
        axes.set_yticks(range(T), trace.tasks)
        axes.set_xlabel("optimiser step")
        axes.tick_params(axis="y", length=0)
        return svg(figure)


def trained(visited: Sequence[Visit], num_tasks: int, bins: int) -> np.ndarray:
    """T x bins: share of the steps of each of `bins` equal stretches of the run that trained a task."""
    steps = visited[-1].end
    present = np.zeros((num_tasks, steps))
    for visit in visited:
        present[list(visit.tasks), visit.start : visit.end] = 1
    before = np.concatenate([np.zeros((num_tasks, 1)), present.cumsum(1)], axis=1)
    edges = np.linspace(0, steps, bins + 1)
    at = np.stack([np.interp(edges, np.arange(steps + 1), row) for row in before])
    return np.diff(at, axis=1) / (steps / bins)


def lines(shown: Mapping[str, Curves], tasks: Sequence[str]) -> str:
    """Panels above each other over one axis of steps; a line a task.

    Args:
        shown: label of the y axis -> task -> steps and values.
        tasks: T names, which have their colours by place.
    """
    with styled():
        figure = new_figure("page")
        figure.set_size_inches(9.4, 1.35 * len(shown) + 0.5)
        grid = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (label, curves) in zip(grid, shown.items(), strict=True):
            for place, task in enumerate(tasks):
                if task in curves:
                    steps, values = curves[task]
                    few = {"marker": ".", "markersize": 3, "linewidth": 0.7} if len(steps) < 80 else {"linewidth": 0.9}
                    axes.plot(steps, values, label=task, **(line_style(place) | few))
            axes.set_ylabel(label)
            low, high = axes.get_ylim()  # from 0: the last digit of a constant is no curve
            axes.set_ylim(min(0.0, low), high + 0.05 * (high - min(0.0, low)))
            axes.margins(x=0)
        grid[-1].set_xlabel("optimiser step")
        handles, names = grid[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=min(len(names), 6))
        return svg(figure)


def svg(figure: Drawing) -> str:
    """The figure as an element of a page."""
    file = io.StringIO()
    figure.savefig(file, format="svg")
    text = file.getvalue()
    return text[text.index("<svg") :]


def short(value: float) -> str:
    """Two or three significant digits, with a proper minus."""
    if value == 0:
        return "0"
    if 0.01 <= (size := abs(value)) < 999.5:
        return f"{value:.{0 if size >= 100 else 2 if size >= 0.1 else 3}f}".replace("-", "−")
    text = f"{value:.1e}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", "−")
