"""The figures of a report as pictures inside the page, and why others are not there."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mtl.errors import MtlError
from mtl.reporting.figures import figure
from mtl.reporting.figures.asked import History

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLES = {
    "ranks": "Mean ranks",
    "sweep": "One score over two choices",
    "parallel": "Choices and scores of every configuration",
    "front": "Two tasks against each other",
    "weights": "Task weights over the steps",
    "losses": "Losses and scores over the steps",
    "conflict": "How the tasks' gradients point",
}
"""Kinds in the order of the page."""
PIXELS = 125
"""Of the page to an inch of a figure, so that its letters are nearly as large as the text."""
LARGEST_SVG = 600_000
"""Bytes; what is larger becomes a PNG."""


@dataclass(frozen=True)
class Picture:
    """A figure: its kind and title, the caption, the image as a `data:` address, and its width in CSS pixels."""

    kind: str
    title: str
    caption: str
    image: str
    width: int


@dataclass(frozen=True)
class Missing:
    """Figures that are not shown for one reason."""

    reason: str
    kinds: tuple[str, ...]

    @property
    def titles(self) -> list[str]:
        """As the page would have named them."""
        return [TITLES[kind] for kind in self.kinds]


def pictures(
    runs: "pd.DataFrame", rows: Sequence[str], history: History, kinds: Iterable[str] = tuple(TITLES)
) -> tuple[list[Picture], list[Missing]]:
    """Draw every kind that the runs have the data for.

    Args:
        runs: usable ones, with the single-task runs that they are measured against.
        rows: what tells configurations apart.
        history: finds curves, see `figure`.
        kinds: of `TITLES`.
    """
    drawn: list[Picture] = []
    missing: dict[str, tuple[str, ...]] = {}
    for kind in kinds:
        by = rows if kind != "sweep" or len(rows) == 2 else ()
        try:
            found = figure(kind, runs, history=history, by=by)
        except MtlError as error:
            reason = str(error).removeprefix(f"{kind}: ").removeprefix("by: ")
            missing[reason] = (*missing.get(reason, ()), kind)
        else:
            width = round(PIXELS * found.get_figwidth())
            drawn.append(Picture(kind, TITLES[kind], str(found.get_label()), as_data(found), width))
    return drawn, [Missing(reason, found) for reason, found in missing.items()]


def as_data(drawing: "Figure") -> str:
    """As SVG with letters drawn, since a reader's machine may lack the font; as PNG where that is smaller by far."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from mtl.reporting.figures.style import styled

    def written(form: str, **options: Any) -> bytes:
        file = io.BytesIO()
        with styled(), mpl.rc_context({"svg.fonttype": "path"}):
            Figure.savefig(drawing, file, format=form, **options)
        return file.getvalue()

    data, kind = written("svg", metadata={"Date": None}), "svg+xml"
    if len(data) > LARGEST_SVG:
        data, kind = written("png", dpi=200), "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
