"""Heat map of one score over two choices of the configuration."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mtl.errors import MtlError
from mtl.reporting.cells import summarise
from mtl.reporting.figures.asked import Asked, number, say
from mtl.reporting.table import Cell, Column

Cells = dict[tuple[str, str], Cell]


def draw(asked: Asked, figure: Figure) -> str:
    """Mean ± standard error in each cell; a combination without a number is hatched."""
    keys = asked.by or asked.varying[:2]
    if len(keys) != 2:
        found, varying = (", ".join(names) or "none" for names in (keys, asked.varying))
        raise MtlError(f"sweep: name two keys in --by. Found {found} (varying: {varying})")
    table = summarise(asked.joint, keys, [_score(asked)], baselines=asked.runs)
    (column,) = table.columns
    cells = {(name[0], name[1]): row[0] for name, row in zip(table.rows, table.cells, strict=True)}
    for name, cell in cells.items():
        if cell.problem:
            raise MtlError(f"by: {say(name)}: {cell.notes[0]}; choose with --runs or --sweep")
    if not any(cell.counts for cell in cells.values()):
        notes = [note for cell in cells.values() for note in cell.notes]
        raise MtlError(f"sweep: no run has {column.label}" + (f": {notes[0]}" if notes else ""))
    _heat_map(figure, keys, cells, column)
    counts = sorted({cell.n for cell in cells.values() if cell.counts})
    full = all(cells.get((row, place), Cell()).counts for row, _ in cells for _, place in cells)
    return (
        f"{column.label} over {keys[0]} × {keys[1]}, {number(len(asked.records), 'run')}, "
        f"{'values' if counts == [1] else 'mean ± standard error'}, seeds {', '.join(map(str, table.seeds))}; "
        + (f"{number(counts[0], 'seed')} a cell" if len(counts) == 1 else "in brackets: number of seeds")
        + ("" if full else "; hatched: no finished run with this score")
    )


def _score(asked: Asked) -> str:
    """Delta_m, a metric's whole name, or the first task's metric of this name."""
    if asked.metric is None:
        return asked.tasks[0]
    return asked.metric if "/" in asked.metric or asked.metric == "delta_m" else f"test/{asked.tasks[0]}/{asked.metric}"


def _heat_map(figure: Figure, keys: tuple[str, ...], cells: Cells, column: Column) -> None:
    rows, places = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True))
    scale = 100 if column.is_bounded else 1
    means = np.full((len(rows), len(places)), np.nan)
    for (row, place), cell in cells.items():
        if cell.mean is not None:
            means[rows.index(row), places.index(place)] = cell.mean * scale
    figure.set_size_inches(min(figure.get_figwidth(), 1.9 + 1.1 * len(places)), 0.9 + 0.42 * len(rows))
    axes = figure.add_subplot()
    picture = axes.imshow(means, cmap="cividis_r" if column.direction == "min" else "cividis", aspect="auto")
    _write(axes, {(rows.index(row), places.index(place)): cell for (row, place), cell in cells.items()}, means, scale)
    crowded = sum(map(len, places)) + 6 * len(places) > 15 * (figure.get_figwidth() - 1.5)
    axes.set_xticks(range(len(places)), places)
    if crowded:
        axes.tick_params(axis="x", labelrotation=25)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel=keys[1], ylabel=keys[0])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    unit = " (%)" if column.is_bounded or column.key == "delta_m" else ""
    arrow = {"max": " ↑", "min": " ↓"}.get(column.direction or "", "")
    figure.colorbar(picture, ax=axes, label=f"{column.label}{unit}{arrow}", aspect=15).ax.spines[:].set_visible(False)


def _write(axes: Axes, cells: dict[tuple[int, int], Cell], means: np.ndarray, scale: int) -> None:
    vary = len({cell.n for cell in cells.values() if cell.counts}) > 1
    places = _places([cell.error * scale for cell in cells.values() if cell.error])
    figure = axes.get_figure(root=True)
    assert figure is not None
    narrow = (figure.get_figwidth() - 1.6) / means.shape[1] < 0.85
    for (row, place), mean in np.ndenumerate(means):
        cell = cells.get((row, place), Cell())
        if not cell.counts:
            look: dict[str, Any] = {"hatch": "/////", "facecolor": "white", "edgecolor": "0.6", "linewidth": 0}
            axes.add_patch(Rectangle((place - 0.5, row - 0.5), 1, 1, **look))
            continue
        error = "" if cell.error is None else f"± {cell.error * scale:.{places}f}"
        parts = [f"{mean:.{places}f}", error, f"({cell.n})" if vary else ""]
        text = ("\n" if narrow else " ").join(filter(None, parts))
        red, green, blue, _ = axes.images[0].to_rgba(np.array([mean]))[0]
        colour = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
        size = 5 if narrow else 6.5
        axes.text(place, row, text.replace("-", "−"), ha="center", va="center", color=colour, fontsize=size)


def _places(errors: Sequence[float]) -> int:
    """After the point, for two significant digits of the median standard error."""
    middle = float(np.median(errors)) if errors else 0.0
    return int(np.clip(1 - np.floor(np.log10(middle)), 0, 5)) if middle > 0 else 2
