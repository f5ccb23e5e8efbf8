"""What switching did: the rows that each task was planned and given, and the rate it ended with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl.reporting.cells import summarise
from mtl.reporting.columns import tasks_of
from mtl.reporting.table import Cell

if TYPE_CHECKING:
    import pandas as pd

MEASURES = {
    "train/{}/rows_planned": "rows planned",
    "train/{}/rows": "rows seen",
    "switch/{}/rate": "last rate",
    "train/{}/steps_skipped": "steps skipped",
}


@dataclass(frozen=True)
class Realised:
    """A line a configuration and task: names, then one text for each header; empty where nothing was recorded."""

    keys: tuple[str, ...]
    headers: tuple[str, ...]
    lines: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    alike: bool = False
    """Whether a line holds for every configuration."""


def realised(runs: "pd.DataFrame", rows: Sequence[str]) -> Realised:
    """Means over seeds (± standard error where they differ); a task's share is of the rows that all tasks saw."""
    records = runs.to_dict("records")
    tasks = list(dict.fromkeys(task for record in records for task in tasks_of(record)))
    recorded = set(runs.dropna(axis=1, how="all").columns)
    names = [
        (task, measure.format(task), header)
        for task in tasks
        for measure, header in MEASURES.items()
        if f"metrics.{measure.format(task)}" in recorded
    ]
    headers = [header for header in MEASURES.values() if any(header == found for *_, found in names)]
    if "rows seen" in headers:
        headers.insert(headers.index("rows seen") + 1, "share of rows")
    if not names:
        return Realised((*rows, "task"), (), ())
    table = summarise(runs, rows, [name for _, name, _ in names])
    lines = []
    for row, cells in zip(table.rows, table.cells, strict=True):
        found = {(task, header): cell for (task, _, header), cell in zip(names, cells, strict=True)}
        seen = {task: found.get((task, "rows seen"), Cell()).mean or 0.0 for task in tasks}
        total = sum(count for count in seen.values() if count == count)
        for task in tasks:
            if any(found.get((task, header), Cell()).counts for header in headers):
                texts = {header: _text(found.get((task, header), Cell())) for header in headers}
                texts["share of rows"] = f"{seen[task] / total:.1%}" if total else "–"
                lines.append(((*row, task), tuple(texts[header] for header in headers)))
    found = Realised((*table.keys, "task"), tuple(headers), tuple(lines))
    return found if len(table.rows) == 1 else _alike(found) or found


def _alike(found: Realised) -> Realised | None:
    """One line a task, if every configuration gave it the same."""
    of: dict[str, set[tuple[str, ...]]] = {}
    for names, cells in found.lines:
        of.setdefault(names[-1], set()).add(cells)
    if any(len(cells) > 1 for cells in of.values()):
        return None
    return Realised(("task",), found.headers, tuple(((task,), min(cells)) for task, cells in of.items()), alike=True)


def _text(cell: Cell) -> str:
    """`1,200`, `0.25 ± 0.013`."""
    if cell.mean is None or not cell.counts:
        return cell.problem or "–"
    shown = f"{cell.mean:,.0f}" if cell.mean >= 100 or cell.mean == round(cell.mean) else f"{cell.mean:.3g}"
    return f"{shown} ± {cell.error:.2g}" if cell.error else shown
