"""Critical-difference diagram (Demsar 2006): mean ranks, and bars over what the Nemenyi test does not tell apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import friedmanchisquare

from mtl.errors import MtlError
from mtl.functional.critical_difference import cliques, critical_difference
from mtl.reporting.figures.asked import Asked, number, say
from mtl.reporting.figures.style import wrapped
from mtl.reporting.pooling import seed_of
from mtl.reporting.ranks import mean_ranks

LINE: dict[str, Any] = {"color": "black", "linewidth": 0.8, "clip_on": False}


def draw(asked: Asked, figure: Figure) -> str:
    """Best to the right, as in the paper."""
    columns = [column for column in asked.columns() if column.direction]
    if len(asked.groups) < 3:
        raise MtlError(f"ranks needs at least 3 configurations. Found {len(asked.groups)} ({' × '.join(asked.keys)})")
    runs = {name: {seed_of(record): record for record in group} for name, group in asked.groups.items()}
    seeds = sorted(set.intersection(*map(set, runs.values())))
    blocks = [(seed, column) for seed in seeds for column in columns]
    pool = f"seeds {', '.join(map(str, seeds)) or 'none'} × {', '.join(c.label for c in columns) or 'no metric'}"
    if len(blocks) < 2:
        raise MtlError(f"ranks needs at least 2 blocks (a seed and a metric) that all have. Found {pool}")
    values_RB = np.array(
        [[float(run[seed].get(f"metrics.{column.key}", np.nan)) for seed, column in blocks] for run in runs.values()]
    )
    for name, row in zip(runs, values_RB, strict=True):
        for (seed, column), value in zip(blocks, row, strict=True):
            if np.isnan(value):
                raise MtlError(f"ranks: {say(name)}, seed {seed} has no {column.key}; leave it out with --runs")
    higher = [column.direction == "max" for _, column in blocks]
    ranks_R = mean_ranks(values_RB, higher)
    difference = critical_difference(len(ranks_R), len(blocks), asked.alpha)
    _diagram(figure, list(map(say, runs)), ranks_R, difference)
    with np.errstate(invalid="ignore"):  # all ranks tied: no p value
        p = friedmanchisquare(*np.where(higher, -values_RB, values_RB)).pvalue
    return (
        f"Mean ranks (1 is best, to the right) of {number(len(ranks_R), 'configuration')} ({' × '.join(asked.keys)}) "
        f"in {len(blocks)} blocks: {pool}; Friedman p = {p:.2g}; bars join what lies within the critical difference "
        f"{difference:.2f} (Nemenyi, alpha {asked.alpha:g}); the metrics of one seed are not independent, so the test "
        "is a guide"
    )


def _diagram(figure: Figure, names: Sequence[str], ranks_R: np.ndarray, difference: float) -> None:
    order = np.argsort(ranks_R, kind="stable").tolist()
    sorted_R = ranks_R[order]
    k = len(order)
    groups = cliques(sorted_R.tolist(), difference)
    right = (k + 1) // 2
    first = 0.55 + 0.3 * len(groups)
    narrow = figure.get_figwidth() < 5
    size = 6 if narrow else 7.5
    shown = [wrapped(name, 1.0, size) if narrow else name for name in names]
    step = 0.5 + 0.3 * max(name.count("\n") for name in shown)
    depth = first + step * right
    figure.set_size_inches(figure.get_figwidth(), 0.5 + 0.27 * depth)
    axes = figure.add_subplot()
    axes.axis("off")
    axes.set(xlim=(1.12 * k - 0.12, 1.12 - 0.12 * k), ylim=(depth, -1.7))
    axes.plot([1, k], [0, 0], **LINE)
    for rank in range(1, k + 1, 2 if narrow and k > 8 else 1):
        axes.plot([rank, rank], [0, -0.18], **LINE)
        axes.text(rank, -0.28, str(rank), ha="center", va="bottom", fontsize=size)
    axes.plot([k, k - difference], [-1.15, -1.15], **LINE, marker="|", markersize=5, gid="cd")
    axes.text(k - difference / 2, -1.28, f"CD = {difference:.2f}", ha="center", va="bottom")
    for place, (configuration, rank) in enumerate(zip(order, sorted_R.tolist(), strict=True)):
        best = place < right
        height = first + step * (place if best else k - 1 - place)
        edge, side = (1 - 0.04 * (k - 1), "left") if best else (k + 0.04 * (k - 1), "right")
        axes.plot([rank, rank, edge], [0, height, height], **LINE, gid=f"rank/{names[configuration]}")
        axes.annotate(
            f"{shown[configuration]}  {rank:.2f}",
            (edge, height),
            (3 if best else -3, 0),
            textcoords="offset points",
            ha=side,
            va="center",
            annotation_clip=False,
            fontsize=size,
            linespacing=1.0,
        )
    for level, (start, end) in enumerate(groups):
        height = 0.3 + 0.3 * level
        bar: dict[str, Any] = {"color": "#0072B2", "linewidth": 2.5, "gid": "clique"}
        axes.plot(sorted_R[[start, end]], [height, height], **bar)
