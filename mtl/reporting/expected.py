"""`expected.csv`: what a table should hold, cell by cell, and where each number comes from."""

import csv
from dataclasses import dataclass
from pathlib import Path

from mtl.errors import MtlError, choices

REQUIRED = ("row", "column", "value", "source")
OPTIONAL = ("tolerance", "standard_error", "n", "differs")


@dataclass(frozen=True)
class Expected:
    """One cell; it has a tolerance, or a standard error over n seeds.

    Args:
        row: the values of the row's keys, joined by `/`.
        column: as in the table, without `test/`.
        value: in the unit of `mtl table --format csv`: fractions, not percent.
        source: paper and table, or who measured it and when.
        tolerance: how far a measurement may be away.
        error: standard error of the value.
        n: how many seeds the standard error comes from.
        differs: what differs in our set-up.
    """

    row: str
    column: str
    value: float
    source: str
    tolerance: float | None = None
    error: float | None = None
    n: int = 0
    differs: str = ""


def read_expected(path: Path) -> list[Expected]:
    """The cells of the file; MtlError names the line of one that is broken or stands twice."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            head, lines = reader.fieldnames or [], [(reader.line_num, line) for line in reader]
    except OSError as error:
        raise MtlError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise MtlError(f"{path} is no CSV in UTF-8: {error}") from error
    if missing := [name for name in REQUIRED if name not in head]:
        raise MtlError(f"{path}: the column {missing[0]} is missing; there is {', '.join(head) or 'nothing'}")
    if unknown := [name for name in head if name not in REQUIRED + OPTIONAL]:
        raise MtlError(f"{path}: the columns are {choices(REQUIRED + OPTIONAL)}. Found '{unknown[0]}'")
    found: dict[tuple[str, str], int] = {}
    cells = []
    for number, line in lines:
        where = f"{path}: line {number}"
        if None in line or None in line.values():
            raise MtlError(f"{where} should have {len(head)} values")
        cell = _cell(where, line)
        if first := found.get((cell.row, cell.column)):
            raise MtlError(f"{where}: the cell {cell.row}, {cell.column} stands in line {first} already")
        found[cell.row, cell.column] = number
        cells.append(cell)
    return cells


def _cell(where: str, line: dict[str, str]) -> Expected:
    value, tolerance, error, n = (
        _number(where, name, line.get(name, "")) for name in ("value", "tolerance", "standard_error", "n")
    )
    if value is None:
        raise MtlError(f"{where}: value should be a number. Found nothing")
    if (tolerance is None) == (error is None):
        found = "neither" if tolerance is None else "both"
        raise MtlError(f"{where}: there should be a tolerance or a standard_error. Found {found}")
    if min(tolerance or 0, error or 0) < 0:
        raise MtlError(f"{where}: tolerance and standard_error should be 0 or more. Found {tolerance or error:g}")
    if error is not None and (n is None or n < 2 or n != int(n)):
        raise MtlError(f"{where}: a standard_error needs n, the number of its seeds, 2 or more. Found {n or 'nothing'}")
    return Expected(
        *(line["row"], line["column"].removeprefix("test/"), value, line["source"]),
        *(tolerance, error, int(n or 0), line.get("differs", "")),
    )


def _number(where: str, name: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if number - number != 0:  # nan and inf too
        raise MtlError(f"{where}: {name} should be a number. Found '{text}'")
    return number
