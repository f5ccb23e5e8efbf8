"""A table against what is expected of it, cell by cell: inside, outside or missing."""

import difflib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mtl.errors import MtlError
from mtl.reporting.expected import Expected
from mtl.reporting.table import Cell, Table

WORDS = ("inside", "outside", "missing")
LEVEL = 0.05
RULE = (
    "A cell with a tolerance is inside if |measured - expected| is not greater. A cell with a standard error is "
    f"inside if Welch's t test of the two means (two-sided; from means, standard errors, seeds) has p >= {LEVEL}; "
    "a measurement of one seed is taken to scatter as the expected one. Tests are not corrected for their number."
)


class Verdict(NamedTuple):
    """One expected cell, what was found in its place, and p where a test was made."""

    expected: Expected
    found: Cell
    word: str
    p: float | None = None


def judge(table: Table, expected: Sequence[Expected], name: str, *, whole: bool = True) -> list[Verdict]:
    """A verdict for each expected cell.

    Args:
        table: what was measured.
        expected: the cells.
        name: of their file, for errors.
        whole: whether every row was measured, so that a row which is not there is a mistake in the file (MtlError)
            and not a run that failed (missing).
    """
    rows = {"/".join(row): cells for row, cells in zip(table.rows, table.cells, strict=True)}
    columns = {column.key.removeprefix("test/"): index for index, column in enumerate(table.columns)}
    for cell in expected:
        known = {"column": (cell.column, list(columns))} | ({"row": (cell.row, list(rows))} if whole else {})
        for what, (found, there) in known.items():
            if found not in there:
                near = difflib.get_close_matches(found, there, n=3) or there[:10]
                raise MtlError(f"{name}: the table has no {what} '{found}'; there is {', '.join(near)}")
    return [_verdict(cell, rows[cell.row][columns[cell.column]] if cell.row in rows else Cell()) for cell in expected]


def _verdict(expected: Expected, found: Cell) -> Verdict:
    if found.mean is None:
        return Verdict(expected, found, "missing")
    if expected.tolerance is not None:
        inside = abs(found.mean - expected.value) <= expected.tolerance * (1 + 1e-12)
        return Verdict(expected, found, "inside" if inside else "outside")
    p = _p(expected, found)
    return Verdict(expected, found, "inside" if p >= LEVEL else "outside", p)


def _p(expected: Expected, found: Cell) -> float:
    """Welch's test; without any scatter 1 for equal means and 0 for others."""
    from scipy.stats import t, ttest_ind_from_stats

    mean, spread = found.mean or 0.0, (expected.error or 0.0) * math.sqrt(expected.n)
    if found.n > 1 and found.error is not None:
        own = found.error * math.sqrt(found.n)
        if spread == own == 0:
            return float(mean == expected.value)
        test = ttest_ind_from_stats(mean, own, found.n, expected.value, spread, expected.n, equal_var=False)
        return float(test.pvalue)
    if spread == 0:
        return float(mean == expected.value)
    width = spread * math.sqrt(1 + 1 / expected.n)
    return float(2 * t.sf(abs(mean - expected.value) / width, expected.n - 1))


def counts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Cells by word."""
    found = Counter(verdict.word for verdict in verdicts)
    return {word: found[word] for word in WORDS}


def count_line(verdicts: Iterable[Verdict]) -> str:
    """`17 inside, 2 outside, 1 missing`."""
    return ", ".join(f"{count} {word}" for word, count in counts(verdicts).items())


def numbers(verdict: Verdict) -> tuple[str, str]:
    """Expected and measured, with tolerance or standard error."""
    cell, found = verdict.expected, verdict.found
    by = f"± {cell.tolerance:.4g}" if cell.tolerance is not None else f"(se {cell.error:.2g}, n = {cell.n})"
    if found.mean is None:
        return f"{cell.value:.5g} {by}", found.problem or "–"
    error = "" if found.error is None else f" (se {found.error:.2g}, n = {found.n})"
    return f"{cell.value:.5g} {by}", f"{found.mean:.5g}{error}"


def to_markdown(verdicts: Sequence[Verdict], title: str, remarks: Sequence[str] = ()) -> str:
    """The verdict as a page: counts, rule, and a line a cell, those not inside first."""
    tested = sum(verdict.p is not None for verdict in verdicts)
    chance = f" {tested} cells were tested: about {tested * LEVEL:.1f} lie outside by chance alone." if tested else ""
    lines = [f"# {title}", "", count_line(verdicts), "", *(f"{line}\n" for line in remarks), f"{RULE}{chance}", ""]
    lines += ["| | row | column | expected | measured | p | source | what differs here |"]
    lines += ["| :-- | :-- | :-- | --: | --: | --: | :-- | :-- |"]
    for verdict in sorted(verdicts, key=lambda verdict: -WORDS.index(verdict.word)):
        cell = verdict.expected
        p = "" if verdict.p is None else f"{verdict.p:.2g}"
        parts = (verdict.word, cell.row, cell.column, *numbers(verdict), p, cell.source, cell.differs)
        lines.append(f"| {' | '.join(part.replace('|', chr(92) + '|') for part in parts)} |")
    return "\n".join(lines) + "\n"
