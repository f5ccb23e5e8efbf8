"""How a format writes what a layout says."""

from collections.abc import Callable
from dataclasses import dataclass

from mtl.reporting.layout import Layout, Shown


@dataclass(frozen=True)
class Markup:
    """How a format writes plain words, the best number and a footnote's letter."""

    escape: Callable[[str], str]
    bold: Callable[[str], str]
    mark: Callable[[str], str]

    def cell(self, shown: Shown) -> str:
        """One cell."""
        number = self.escape(shown.number)
        return (self.bold(number) if shown.best else number) + self.escape(shown.rest) + self.marks(shown)

    def marks(self, shown: Shown) -> str:
        """The letters of its footnotes."""
        return self.mark(shown.marks) if shown.marks else ""

    def rows(self, layout: Layout) -> list[list[str]]:
        """The rows, their names first."""
        return [[*map(self.escape, names), *map(self.cell, cells)] for names, cells in layout.rows]

    def header(self, layout: Layout) -> list[str]:
        """The names of keys and columns."""
        return [self.escape(name) for name in (*layout.keys, *layout.headers)]

    def notes(self, layout: Layout) -> list[str]:
        """The footnotes, then the runs that do not count and what else is said."""
        notes = [f"{self.mark(note.mark)} {self.escape(note.text)}" for note in layout.notes]
        return [*notes, *map(self.escape, filter(None, (layout.left_out, *layout.lines)))]
