"""What a table of runs is, before anybody decides how it looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

BOUNDED = ("accuracy", "f1", "precision", "recall")
DELTA_M = {
    "delta_m": "Δm",
    "delta_m_metrics": "Δm over metrics",
    "delta_m_tasks": "Δm over tasks",
}
"""The gains over single-task runs, and their names in a header."""


@dataclass(frozen=True)
class Cell:
    """The runs of one row in one column, over seeds.

    Args:
        mean: of the values; None where there is no number to show, nan where a value is nan.
        error: standard error, sd(ddof=1) / sqrt(n); None for fewer than two values.
        n: the number of values.
        seeds: their seeds.
        problem: shown in place of a refused number, such as `seed 0 twice`.
        notes: what a reader should know of it, one sentence each.
        interval: 95 % bootstrap interval of the mean, where it was asked for.

    """

    mean: float | None = None
    error: float | None = None
    n: int = 0
    seeds: tuple[int, ...] = ()
    problem: str = ""
    notes: tuple[str, ...] = ()
    interval: tuple[float, float] | None = None

    @property
    def counts(self) -> bool:
        """Whether the mean is a number that may be compared."""
        return self.mean is not None and self.mean == self.mean


@dataclass(frozen=True)
class Column:
    """A metric as recorded (`test/zh_pos/accuracy`) or `delta_m`, `rank`..., and which direction is better."""

    key: str
    direction: str | None = None
    task: str | None = None

    @property
    def is_metric(self) -> bool:
        """Whether it is read from the record rather than computed here."""
        return self.key not in (*DELTA_M, "rank", "front")

    @property
    def label(self) -> str:
        """The name in a header."""
        names = DELTA_M | {"rank": "mean rank", "front": "Pareto front"}
        return names.get(self.key) or self.key.removeprefix("test/").replace("/", " ")

    @property
    def is_bounded(self) -> bool:
        """Whether it is a fraction of 1 that papers show in percent."""
        name = self.key.rsplit("/", 1)[-1]
        return self.is_metric and (name in BOUNDED or name.endswith("_f1"))


@dataclass(frozen=True)
class Table:
    """Cells by row and column.

    Args:
        keys: what a row is named by, such as `prompt` and `weighting`.
        rows: the value of every key, for every row.
        columns: one a column of cells.
        cells: one tuple a row.
        seeds: every seed seen; a row is expected to have them all.
        pool: how many rows were ranked against each other.
        ranked: in how many columns.
        left_out: the runs that do not count, in words.
        remarks: what else a reader should know of the numbers.
        spread: `se` or `interval`, what stands beside a mean.

    """

    keys: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    columns: tuple[Column, ...]
    cells: tuple[tuple[Cell, ...], ...]
    seeds: tuple[int, ...]
    pool: int = 0
    ranked: int = 0
    left_out: str = ""
    remarks: tuple[str, ...] = ()
    spread: str = "se"

    @classmethod
    def from_runs(
        cls,
        runs: "pd.DataFrame",
        rows: Sequence[str] = ("prompt", "weighting"),
        columns: Sequence[str] | None = None,
        *,
        baselines: "pd.DataFrame | None" = None,
        spread: str = "se",
        pareto: tuple[str, str] | None = None,
    ) -> "Table":
        """The table of the runs that `mtl.runs` gives; the arguments are those of `mtl table` and of `summarise`."""
        from mtl.reporting.cells import summarise

        return summarise(runs, rows, columns, baselines=baselines, spread=spread, pareto=pareto)

    def render(self, form: str = "text", *, digits: int | None = None, percent: bool = True) -> str:
        """As `text`, `markdown`, `latex`, `csv` or `html`."""
        from mtl.reporting.formats import render

        return render(self, form, digits=digits, percent=percent)

    def __str__(self) -> str:
        return self.render()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.render("html")
