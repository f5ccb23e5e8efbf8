"""A table for the terminal, and the same in plain characters."""

import io

from mtl.reporting.layout import Layout
from mtl.reporting.markup import Markup


def to_text(layout: Layout, *, colour: bool = False) -> str:
    """Columns as wide as they need; the best number is bold in `colour`, else a star stands after it."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    markup = Markup(str, lambda text: f"{text}*", lambda mark: f" [{mark}]")
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, name in enumerate(markup.header(layout)):
        grid.add_column(Text(name), no_wrap=True, justify="left" if index < len(layout.keys) else "right")
    for names, cells in layout.rows:
        if colour:
            parts = [Text.assemble((c.number, "bold" if c.best else ""), c.rest, markup.marks(c)) for c in cells]
        else:
            parts = [Text(markup.cell(cell)) for cell in cells]
        grid.add_row(*map(Text, names), *parts)

    out = io.StringIO()
    wide = Console(file=out, width=10_000, force_terminal=colour, color_system="standard" if colour else None)
    wide.print(grid)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    star = f"; * {layout.star}" if not colour and any(cell.best for _, cells in layout.rows for cell in cells) else ""
    return "\n".join([*lines, "", layout.caption + star, *map(str.strip, markup.notes(layout)), ""])
