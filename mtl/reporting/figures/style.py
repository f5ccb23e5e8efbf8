"""The one look of all figures: colours, sizes, fonts, and files that are the same bytes for the same records."""

import contextlib
import functools
import logging
import textwrap
import unicodedata
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

log = logging.getLogger(__name__)

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito 2008, apart for every kind of colour vision; without their yellow, which is faint on white."""
DASHES, MARKERS = ("-", "--", ":", "-."), "osD^vPX*"
WIDTHS = {"column": 3.4, "page": 7.0}
"""Inches, of papers in two columns (ACL, CVPR, ICML)."""
CHINESE = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei")
CHINESE += ("WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei", "Noto Sans CJK JP")
LOOK: dict[str, Any] = {
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "hatch.linewidth": 0.5,
    "axes.unicode_minus": True,
    "text.parse_math": False,  # a name may hold any character
    "svg.fonttype": "none",
    "svg.hashsalt": "mtl",
    "pdf.fonttype": 42,
}


class Drawing(Figure):
    """A figure that keeps the look when it is saved, and that notebooks show."""

    def savefig(self, fname: Any, **options: Any) -> None:
        """As matplotlib's; without a date, so that equal figures are equal files, at 300 dots an inch."""
        form = str(options.get("format") or Path(str(fname)).suffix[1:]).lower()
        undated: dict[str, Any] | None = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
        self._warn_of_missing_letters()
        with styled():
            options = {"dpi": 300, "metadata": undated} | options
            super().savefig(fname, **options)

    def _repr_png_(self) -> bytes:
        import io

        file = io.BytesIO()
        self.savefig(file, format="png", dpi=150)
        return file.getvalue()

    def _warn_of_missing_letters(self) -> None:
        texts = "".join(text.get_text() for text in self.findobj(Text) if isinstance(text, Text))
        if chinese_font() is None and any(ord(letter) > 0x2E7F for letter in texts):
            log.warning("no font with Chinese letters was found; install one, such as fonts-noto-cjk")


def new_figure(width: str) -> Drawing:
    """An empty figure of the width; a kind sets the height."""
    drawing = Drawing(figsize=(WIDTHS[width], 2.4), layout="constrained")
    FigureCanvasAgg(drawing)
    return drawing


@contextlib.contextmanager
def styled() -> Generator[None, None, None]:
    """Matplotlib's own defaults with the look, whatever the user's matplotlibrc says."""
    fonts = ["DejaVu Sans", *filter(None, [chinese_font()])]
    look: Any = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"} | LOOK
    with mpl.rc_context(look | {"font.family": fonts}):
        yield


@functools.cache
def chinese_font() -> str | None:
    """A font with Chinese letters; files that appeared after matplotlib made its list are looked at too."""
    known = {font.name for font in font_manager.fontManager.ttflist}
    if not known.intersection(CHINESE):
        words = [name.replace(" ", "").lower()[:9] for name in CHINESE]
        for path in sorted(font_manager.findSystemFonts()):
            if any(word in Path(path).stem.replace("-", "").lower() for word in words):
                with contextlib.suppress(Exception):
                    font_manager.fontManager.addfont(path)
        known = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in CHINESE if name in known), None)


def line_style(place: int) -> dict[str, Any]:
    """Colour, then dashes too, of the line at this place."""
    return {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place // len(COLOURS) % len(DASHES)]}


def looks(names: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], tuple[int, int]]:
    """Two numbers a configuration, (colour, dashes or marker): with several keys the first key makes the second one."""
    names = list(names)
    inner = list(dict.fromkeys(name[1:] or name for name in names))
    outer = list(dict.fromkeys(name[:1] if name[1:] else () for name in names))
    return {name: (inner.index(name[1:] or name), outer.index(name[:1] if name[1:] else ())) for name in names}


def line_looks(names: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], dict[str, Any]]:
    """Colours and dashes by `looks` where there are enough of both, else one after the other."""
    pairs = looks(names)
    few = all(colour < len(COLOURS) and dash < len(DASHES) for colour, dash in pairs.values())
    return {
        name: {"color": COLOURS[colour], "linestyle": DASHES[dash]} if few else line_style(place)
        for place, (name, (colour, dash)) in enumerate(pairs.items())
    }


def wrapped(text: str, inches: float, size: float = 7.5) -> str:
    """A name in as many lines as its place needs, broken between its parts."""
    room = max(int(inches / (0.0083 * size)), 8)
    kept = text.replace(" ", "\xa0").replace("\xa0×\xa0", "\xa0× ")
    return textwrap.fill(kept, room, break_long_words=False, break_on_hyphens=False).replace("\xa0", " ")


def letters(text: str) -> int:
    """How many letters wide a text is: a Chinese one takes the room of two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def legend(figure: Figure, place: str, handles: Mapping[str, Any], width: float) -> None:
    """A legend outside of the panels, in as many columns as fit `width` inches; the figure grows by its height."""
    longest = max(map(letters, handles), default=1)
    columns = max(1, min(len(handles), int(width / (0.45 + 0.06 * longest))))
    where: Any = f"outside {place}"
    figure.legend(list(handles.values()), list(handles), loc=where, ncols=columns)
    figure.set_figheight(figure.get_figheight() + 0.15 * -(-len(handles) // columns))


def panels(figure: Figure, titles: Sequence[str], columns: int, height: float, *, alike: bool = False) -> list[Axes]:
    """A grid of panels, each `height` inches high; what is over in the last row stays empty.

    Those that are `alike` have one pair of axes, numbered on the left and below only.
    """
    columns = min(columns, len(titles))
    rows = -(-len(titles) // columns)
    names = [wrapped(title, figure.get_figwidth() / columns - 0.35) for title in titles]
    lines = max(name.count("\n") for name in names)
    figure.set_size_inches(figure.get_figwidth(), rows * (height + 0.12 * lines) + 0.5)
    grid: list[Axes] = []
    for place, name in enumerate(names):
        first = grid[0] if grid and alike else None
        grid.append(figure.add_subplot(rows, columns, place + 1, sharex=first, sharey=first, title=name))
        if alike:
            below = place + columns < len(titles)
            grid[-1].tick_params(labelleft=place % columns == 0, labelbottom=not below)
    return grid


def name_lines(figure: Figure, shown: Sequence[Axes]) -> None:
    """Few lines in one panel are named at their ends, others in one legend above the panels."""
    handles = {label: handle for axes in shown for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if len(shown) == 1 and len(handles) <= 4:
        _name_at_ends(shown[0])
        return
    legend(figure, "upper center", handles, figure.get_figwidth())


def _name_at_ends(axes: Axes) -> None:
    ends = {line: np.asarray(line.get_ydata(), dtype=float)[-1:] for line in axes.lines}
    lines = sorted(
        (line for line, end in ends.items() if np.isfinite(end).any()), key=lambda line: float(ends[line][0])
    )
    low, high = axes.get_ylim()
    figure = axes.get_figure(root=True)
    assert figure is not None
    gap = (high - low) * 0.13 / max(figure.get_figheight() - 0.6, 0.5)
    heights: list[float] = []
    for line in lines:
        wanted = float(ends[line][0])
        heights.append(max(wanted, heights[-1] + gap) if heights else wanted)
    for line, height in zip(lines, heights, strict=True):
        axes.annotate(
            str(line.get_label()),
            (1, height - max(0.0, heights[-1] - high)),
            xycoords=axes.get_yaxis_transform(),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            color=line.get_color(),
        )
