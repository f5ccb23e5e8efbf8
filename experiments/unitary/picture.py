"""The study's picture: each weighting's difference from equal weights with its 95 % interval."""

from collections.abc import Mapping
from pathlib import Path

from mtl.reporting.table import Cell


def draw(cells: Mapping[tuple[str, ...], float | Cell], folder: Path) -> None:
    """`unitary.png`: a panel a problem, in points of the mean score; full where Holm's p is below 0.05."""
    from matplotlib import pyplot as plt

    problems = list(dict.fromkeys(problem for problem, *_ in cells))
    figure, axes = plt.subplots(1, len(problems), figsize=(4.5 * len(problems), 7), layout="constrained", squeeze=False)
    for panel, problem in zip(axes[0], problems, strict=True):
        names = [name for own, name, column in cells if (own, column) == (problem, "minus_equal")]
        for place, name in enumerate(names):
            difference, width = cells[problem, name, "minus_equal"], cells[problem, name, "half_width"]
            mean = (difference.mean or 0.0) if isinstance(difference, Cell) else difference
            sure = cells[problem, name, "against_equal"] != 0
            panel.errorbar(
                *(100 * mean, place),
                xerr=100 * width if isinstance(width, float) else 0.0,
                fmt="o",
                color="tab:blue",
                markerfacecolor="tab:blue" if sure else "white",
            )
        panel.set_yticks(range(len(names)), names, fontsize=8)
        panel.invert_yaxis()
        panel.axvline(0, color="gray", linewidth=1)
        panel.set_title(problem, fontsize=10)
        panel.set_xlabel("minus equal weights, points")
    figure.savefig(folder / "unitary.png", dpi=100)
    plt.close(figure)
