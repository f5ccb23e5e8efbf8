"""What the cells' notes say, once each, and the letters that point to them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from string import ascii_lowercase

from mtl.reporting.table import Table


@dataclass(frozen=True)
class Footnote:
    """One sentence about some cells, each given as (row, column)."""

    mark: str
    text: str
    cells: frozenset[tuple[int, int]]


def footnotes(table: Table) -> list[Footnote]:
    """The notes of all cells, those that say the same together."""
    rows_of: dict[tuple[str, frozenset[int]], list[int]] = defaultdict(list)
    for row, cells in enumerate(table.cells):
        columns_of: dict[str, list[int]] = defaultdict(list)
        for column, cell in enumerate(cells):
            for note in cell.notes:
                columns_of[note].append(column)
        for note, columns in columns_of.items():
            rows_of[note, frozenset(columns)].append(row)
    return [
        Footnote(mark_of(index), _where(table, columns, rows) + note, frozenset((r, c) for r in rows for c in columns))
        for index, ((note, columns), rows) in enumerate(rows_of.items())
    ]


def _where(table: Table, columns: Iterable[int], rows: list[int]) -> str:
    """`zh_pos accuracy, keyword × fixed: `; what holds everywhere names no place."""
    columns = sorted(columns)
    everywhere = sum(column.key != "rank" for column in table.columns)
    parts = [] if len(columns) == everywhere > 1 else [table.columns[column].label for column in columns]
    if len(rows) < len(table.rows):
        parts.append(" and ".join(" × ".join(table.rows[row]) for row in rows))
    return ", ".join(parts) + ": " if parts else ""


def mark_of(index: int) -> str:
    """`a` to `z`, then `aa`, `ab`..."""
    letters = ["", *ascii_lowercase]
    return letters[index // 26] + ascii_lowercase[index % 26]
