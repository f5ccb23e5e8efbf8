"""What the reader sees in each place of a table, before any markup: digits, bold, caption."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mtl.errors import MtlError
from mtl.reporting.footnotes import Footnote, footnotes
from mtl.reporting.table import DELTA_M, Cell, Column, Table

ARROWS = {"max": " ↑", "min": " ↓", None: ""}
SPREADS = {"se": "standard error", "interval": "bootstrap interval"}
MEANING = {
    "delta_m": "mean relative gain over the single-task runs, primary metric of each task",
    "delta_m_metrics": "relative gain over the single-task runs, mean over all metrics of all tasks",
    "delta_m_tasks": "relative gain over the single-task runs, mean over tasks of the mean over a task's metrics",
}


@dataclass(frozen=True)
class Shown:
    """One cell: `number` is bold where it is the best, `rest` is its standard error and n, `marks` its footnotes."""

    number: str
    rest: str = ""
    marks: str = ""
    best: bool = False


@dataclass(frozen=True)
class Layout:
    """A table in words: the headers of rows and columns, the names and cells of each row, and what stands around."""

    keys: tuple[str, ...]
    headers: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[Shown, ...]], ...]
    caption: str
    notes: tuple[Footnote, ...]
    left_out: str
    star: str = "best"
    """What is bold."""
    lines: tuple[str, ...] = ()
    """Said below all else."""


def lay_out(table: Table, *, digits: int | None = None, percent: bool = True) -> Layout:
    """The table with its numbers written.

    Args:
        table: the cells.
        digits: after the point; by default as many as give a column's median standard error two significant digits.
        percent: show accuracies, F1, precision and recall in percent.

    """
    if digits is not None and digits < 0:
        raise MtlError(f"digits should be 0 or more. Found {digits}")
    notes = footnotes(table)
    vary = len({cell.n for row in table.cells for cell in row if cell.n}) > 1
    columns = []
    for index, column in enumerate(table.columns):
        cells = [row[index] for row in table.cells]
        scale = 100 if percent and column.is_bounded else 1
        wanted = {"rank": 2, "front": 0}.get(column.key, digits)
        places = _places(cells, scale) if wanted is None else wanted
        best = _best(cells, column.direction)
        marks = ["".join(note.mark for note in notes if (row, index) in note.cells) for row in range(len(cells))]
        columns.append([_show(column, *part, scale, places, vary) for part in zip(cells, marks, best, strict=True)])
    headers = tuple(_header(column, percent) for column in table.columns)
    rows = tuple(zip(table.rows, zip(*columns, strict=True), strict=True))
    left_out = f"Runs left out: {table.left_out}" if table.left_out else ""
    return Layout(table.keys, headers, rows, _caption(table, vary), tuple(notes), left_out)


def _show(column: Column, cell: Cell, mark: str, best: bool, scale: int, places: int, vary: bool) -> Shown:
    if cell.mean is None:
        return Shown(cell.problem or "–", marks=mark)
    if column.key == "front":
        return Shown("yes" if cell.mean else "no")
    error = "" if cell.error is None else f" ± {_number(cell.error, scale, places)}"
    if cell.interval is not None:
        error = " [" + ", ".join(_number(end, scale, places) for end in cell.interval) + "]"
    return Shown(_number(cell.mean, scale, places), error + (f" ({cell.n})" if vary and cell.n else ""), mark, best)


def _number(value: float, scale: int, places: int) -> str:
    shown = f"{value * scale:.{places}f}"
    return shown.removeprefix("-") if float(shown) == 0 else shown


def _places(cells: Sequence[Cell], scale: int) -> int:
    """Two significant digits for the median error and one for the smallest; without errors, four for the mean."""
    errors = [cell.error * scale for cell in cells if cell.error]
    if errors:
        return max(_after_point(statistics.median(errors), 2), _after_point(min(errors), 1))
    means = [abs(cell.mean) * scale for cell in cells if cell.mean is not None and cell.counts]
    return _after_point(statistics.median(means), 4) if means else 0


def _after_point(value: float, significant: int) -> int:
    if value == 0 or not math.isfinite(value):
        return 0
    exponent = int(f"{value:.{significant - 1}e}".partition("e")[2])
    return min(max(significant - 1 - exponent, 0), 8)


def _best(cells: Sequence[Cell], direction: str | None) -> list[bool]:
    """Where the best mean stands, ties included; nowhere if there is nothing to compare."""
    means = [cell.mean for cell in cells if cell.mean is not None and cell.counts]
    if direction is None or len(means) < 2:
        return [False] * len(cells)
    best = max(means) if direction == "max" else min(means)
    return [cell.mean is not None and math.isclose(cell.mean, best, rel_tol=1e-12) for cell in cells]


def _header(column: Column, percent: bool) -> str:
    unit = " (%)" if column.key in DELTA_M or (percent and column.is_bounded) else ""
    return column.label + unit + ARROWS[column.direction]


def _caption(table: Table, vary: bool) -> str:
    """What the numbers are."""
    counts = {cell.n for row in table.cells for cell in row if cell.n}
    seeds = ", ".join(map(str, table.seeds))
    spread = "± standard error" if table.spread == "se" else "[95 % bootstrap interval, BCa]"
    if vary:
        parts = [f"mean {spread} (number of seeds), seeds {seeds}"]
    elif not counts:
        parts = [f"seeds {seeds}"]
    elif counts == {1}:
        parts = [f"one seed ({seeds}), so no {SPREADS[table.spread]}" if len(table.seeds) == 1 else "one run a cell"]
    else:
        parts = [f"mean {spread} over {next(iter(counts))} seeds ({seeds})"]
    if table.spread == "interval" and 1 < min(counts, default=0) < 10:
        parts.append("with so few seeds a bootstrap interval is too narrow")
    keys = [column.key for column in table.columns]
    parts += [f"{DELTA_M[key]}: {MEANING[key]}" for key in keys if key in DELTA_M]
    if {"delta_m_metrics", "delta_m_tasks"}.intersection(keys):
        parts.append("the tables of CAGrad, Nash-MTL, FAMO and FairGrad print Δm over metrics with the other sign")
    if "rank" in keys and table.pool:
        rows = f"{table.pool} rows" if table.pool == len(table.rows) else f"the {table.pool} rows here that have one"
        parts.append(f"mean rank among {rows} over {table.ranked} column{'s' if table.ranked > 1 else ''}")
    return "; ".join([*parts, *table.remarks])
