"""What a study's own script measured, written and read as `mtl table --format csv` writes it: one line a cell."""

import csv
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mtl.errors import MtlError
from mtl.reporting.table import Cell, Column, Table

FIELDS = ("column", "mean", "standard_error", "n", "seeds", "notes")


def over_seeds(values: Mapping[int, float]) -> Cell:
    """Mean and standard error of one value a seed."""
    found = list(values.values())
    error = statistics.stdev(found) / math.sqrt(len(found)) if len(found) > 1 else None
    return Cell(statistics.fmean(found), error, len(found), tuple(values))


def write_measured(path: Path, keys: Sequence[str], cells: Mapping[tuple[str, ...], float | Cell]) -> None:
    """Cells by (value of each key, column); a plain number is one measurement without an error."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*keys, *FIELDS])
        for names, found in cells.items():
            cell = found if isinstance(found, Cell) else Cell(float(found), None, 1)
            seeds = " ".join(map(str, cell.seeds))
            writer.writerow([*names, cell.mean, cell.error, cell.n, seeds, "; ".join(cell.notes)])


def read_measured(path: Path, better: Mapping[str, str] | None = None, columns: Iterable[str] | None = None) -> Table:
    """The table; rows and columns in the order of the file.

    Args:
        path: of the CSV.
        better: `max` or `min` for the columns where one direction is.
        columns: those to show, in this order (default: all).
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    head, *body = lines or [[]]
    if tuple(head[-len(FIELDS) :]) != FIELDS:
        raise MtlError(f"{path}: the columns should end in {', '.join(FIELDS)}. Found {', '.join(head)}")
    width = len(head) - len(FIELDS)
    cells: dict[tuple[str, ...], dict[str, Cell]] = {}
    for number, line in enumerate(body, 2):
        row, (column, mean, error, n, seeds, notes) = tuple(line[:width]), line[width:]
        if column in cells.setdefault(row, {}):
            raise MtlError(f"{path}: line {number}: {'/'.join(row)}, {column} stands twice")
        cells[row][column] = Cell(
            float(mean) if mean else None,
            float(error) if error else None,
            int(n or 0),
            tuple(map(int, seeds.split())),
            notes=tuple(filter(None, notes.split("; "))),
        )
    known = list(dict.fromkeys(column for found in cells.values() for column in found))
    chosen = list(columns or known)
    if unknown := [column for column in chosen if column not in known]:
        raise MtlError(f"columns: {path.name} has no column '{unknown[0]}'; it has {', '.join(known)}")
    return Table(
        tuple(head[:width]),
        tuple(cells),
        tuple(Column(column, (better or {}).get(column)) for column in chosen),
        tuple(tuple(found.get(column, Cell()) for column in chosen) for found in cells.values()),
        tuple(sorted({seed for found in cells.values() for cell in found.values() for seed in cell.seeds})),
    )
