"""Parallel coordinates: what was chosen on the left, what came of it on the right, a line a configuration."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtl.errors import MtlError
from mtl.reporting.cells import summarise
from mtl.reporting.figures.asked import Asked
from mtl.reporting.table import Column, Table

COLOURS = colormaps["cividis"]
BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}


def draw(asked: Asked, figure: Figure) -> str:
    """Lines are means over seeds, coloured by the score of the last axis."""
    _ = asked.groups  # a seed that stands twice is an error
    table = _scores(asked)
    complete = [place for place, row in enumerate(table.cells) if all(cell.counts for cell in row)]
    if len(complete) < 2:
        raise MtlError(f"parallel needs at least 2 configurations with every score. Found {len(complete)}")
    names = [table.rows[place] for place in complete]
    values_RC = np.array([[float(cell.mean or 0) for cell in table.cells[place]] for place in complete])
    values_RC *= [100 if column.is_bounded else 1 for column in table.columns]
    ends = [(float(low), float(high)) for low, high in zip(values_RC.min(axis=0), values_RC.max(axis=0), strict=True)]
    ends = [pair[::-1] if column.direction == "min" else pair for pair, column in zip(ends, table.columns, strict=True)]
    heights_RC = np.stack([_scaled(values_RC[:, place], *pair) for place, pair in enumerate(ends)], axis=1)
    colour_R = heights_RC[:, -1]
    options = [list(dict.fromkeys(chosen)) for chosen in zip(*names, strict=True)]
    chosen = [_spread([name[place] for name in names], known, colour_R) for place, known in enumerate(options)]
    lines_RC = np.column_stack([*chosen, heights_RC])

    figure.set_size_inches(figure.get_figwidth(), 2.6)
    axes = figure.add_subplot()
    axes.axis("off")
    for row in np.argsort(colour_R, kind="stable"):
        axes.plot(lines_RC[row], color=COLOURS(float(colour_R[row])), linewidth=1.1, gid=" × ".join(names[row]))
    size = 6.5 if figure.get_figwidth() > 5 else 5.5
    for place, (key, known) in enumerate(zip(asked.keys, options, strict=True)):
        _axis(axes, place, key, size)
        for option in known:
            text = "none" if option == "–" else option
            at = (place - 0.03, _height(option, known))
            axes.text(*at, text, ha="right", va="center", fontsize=size, bbox=BOX, zorder=3)
    for place, (column, (worst, best)) in enumerate(zip(table.columns, ends, strict=True), start=len(options)):
        _axis(axes, place, _title(column), size)
        axes.text(place, -0.03, f"{worst:.4g}", ha="center", va="top", fontsize=size)
        axes.text(place, 1.03, f"{best:.4g}", ha="center", va="bottom", fontsize=size)
    last = lines_RC.shape[1] - 1
    strip = np.linspace(0, 1, 128)[:, None]
    axes.imshow(strip, cmap=COLOURS, extent=(last, last + 0.06, 0, 1), aspect="auto", origin="lower", zorder=4)
    axes.set(xlim=(-0.6, last + 0.35), ylim=(-0.12, 1.32))
    left_out = len(table.rows) - len(complete)
    return (
        f"{len(asked.records)} runs: {len(names)} configurations ({' × '.join(asked.keys)}) and their mean scores over "
        f"seeds {', '.join(map(str, table.seeds))}; better is up; coloured by {table.columns[-1].label}"
        + (f"; {left_out} without every score not shown" if left_out else "")
    )


def _scores(asked: Asked) -> Table:
    """Primary metrics, and Delta_m where runs have their baselines; what is asked for, else the last, gives colour."""
    wanted = [*asked.tasks, "delta_m"]
    if asked.metric is not None:
        whole = asked.metric if "/" in asked.metric or asked.metric == "delta_m" else None
        wanted = [*wanted, whole] if whole else [*(f"test/{task}/{asked.metric}" for task in asked.tasks), "delta_m"]
    table = summarise(asked.joint, asked.keys, wanted, baselines=asked.runs)
    kept = [place for place in range(len(table.columns)) if any(row[place].counts for row in table.cells)]
    if asked.metric is not None:
        names = [asked.metric.removeprefix("test/"), f"{asked.tasks[0]}/{asked.metric}"]
        kept.sort(key=lambda place: table.columns[place].key.removeprefix("test/") in names)
    cells = tuple(tuple(row[place] for place in kept) for row in table.cells)
    if not kept:
        raise MtlError("parallel: no run has a score on the test split")
    return replace(table, columns=tuple(table.columns[place] for place in kept), cells=cells)


def _scaled(values_R: np.ndarray, worst: float, best: float) -> np.ndarray:
    """0 for the worst, 1 for the best, 1/2 where all are equal."""
    return np.full(len(values_R), 0.5) if worst == best else (values_R - worst) / (best - worst)


def _height(option: str, options: Sequence[str]) -> float:
    return 0.5 if len(options) == 1 else 0.93 - 0.86 * options.index(option) / (len(options) - 1)


def _spread(chosen: Sequence[str], options: Sequence[str], score_R: np.ndarray) -> np.ndarray:
    """Height of each line: its option's, a little apart from the others there, by score."""
    gap = 0.3 / max(len(options), 3)
    heights_R = np.array([_height(option, options) for option in chosen])
    for option in options:
        rows = sorted((row for row, one in enumerate(chosen) if one == option), key=lambda row: score_R[row])
        if len(rows) > 1:
            heights_R[rows] += np.linspace(-gap / 2, gap / 2, len(rows))
    return heights_R


def _title(column: Column) -> str:
    unit = " (%)" if column.is_bounded or column.key == "delta_m" else ""
    return column.label.replace(" ", "\n", 1) + unit


def _axis(axes: Axes, place: int, title: str, size: float) -> None:
    axes.plot([place, place], [0, 1], color="0.3", linewidth=0.8, zorder=0)
    axes.text(place, 1.14, title, ha="center", va="bottom", fontsize=size)
