"""What a table of runs is, before anybody decides how it looks."""

from dataclasses import dataclass

BOUNDED = ("accuracy", "f1", "precision", "recall")


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

    """

    mean: float | None = None
    error: float | None = None
    n: int = 0
    seeds: tuple[int, ...] = ()
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether the mean is a number that may be compared."""
        return self.mean is not None and self.mean == self.mean


@dataclass(frozen=True)
class Column:
    """A metric's name as recorded (`test/zh_pos/accuracy`), `delta_m` or `rank`, and which direction is better."""

    key: str
    direction: str | None = None
    task: str | None = None

    @property
    def is_metric(self) -> bool:
        """Whether it is read from the record rather than computed here."""
        return self.key not in ("delta_m", "rank")

    @property
    def label(self) -> str:
        """The name in a header."""
        names = {"delta_m": "Δm", "rank": "mean rank"}
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

    """

    keys: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    columns: tuple[Column, ...]
    cells: tuple[tuple[Cell, ...], ...]
    seeds: tuple[int, ...]
    pool: int = 0
    ranked: int = 0
    left_out: str = ""
