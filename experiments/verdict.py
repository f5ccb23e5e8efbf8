"""What a study measured, cell by cell against its `expected.csv`: inside the tolerance, outside, or missing."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from rich.console import Console


class Verdict(NamedTuple):
    """One expected cell; `found` is `None` where nothing was measured."""

    cell: str
    expected: float
    tolerance: float
    source: str
    found: float | None

    @property
    def word(self) -> str:
        """Inside, outside (nan too) or missing."""
        if self.found is None:
            return "missing"
        return "inside" if abs(self.found - self.expected) <= self.tolerance else "outside"


def judge(path: Path, measured: Mapping[str, float], asked: Callable[[str], bool]) -> list[Verdict]:
    """A verdict for each cell of the file that this run was asked for."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if len({row["cell"] for row in rows}) < len(rows):
        raise ValueError(f"{path.name} should hold each cell once. Found one twice")
    return [
        Verdict(cell, float(row["value"]), float(row["tolerance"]), row["source"], measured.get(cell))
        for row in rows
        if asked(cell := row["cell"])
    ]


def report(verdicts: list[Verdict], console: Console) -> None:
    """Counts, and every cell that is not inside."""
    counts = {word: sum(verdict.word == word for verdict in verdicts) for word in ("inside", "outside", "missing")}
    for verdict in verdicts:
        if verdict.word != "inside":
            found = "" if verdict.found is None else f", found {verdict.found:.3f}"
            console.print(
                f"{verdict.word}: {verdict.cell} expected {verdict.expected:g} ± {verdict.tolerance:g} "
                f"({verdict.source}){found}",
                highlight=False,
            )
    console.print(f"{len(verdicts)} cells: " + ", ".join(f"{count} {word}" for word, count in counts.items()))


def write(path: Path, verdicts: list[Verdict]) -> None:
    """Every cell with its verdict, as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("cell", "found", "expected", "tolerance", "source", "verdict"))
        for cell, expected, tolerance, source, found in verdicts:
            word = Verdict(cell, expected, tolerance, source, found).word
            writer.writerow((cell, "" if found is None else f"{found:.4f}", expected, tolerance, source, word))
