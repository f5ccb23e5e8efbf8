"""The fronts' picture: where runs end on VLMOP2, and how methods come to the front of each quadratic."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from .measures import on_ray
from .problems import QUADRATICS, VLMOP2, preferences

TITLES = {
    "linear": "linear",
    "tchebycheff": "Tchebycheff",
    "epo": "EPO",
    "stch": "smooth Tchebycheff",
    "equal": "equal",
    "mgda": "MGDA",
    "upgrad": "UPGrad",
    "dualproj": "DualProj",
    "imtl_g": "IMTL-G",
    "cagrad": "CAGrad",
    "nash_mtl": "Nash-MTL",
    "aligned_mtl": "Aligned-MTL",
}
SHOWN = {
    "equal": "tab:gray",
    "mgda": "tab:orange",
    "cagrad": "tab:green",
    "nash_mtl": "tab:purple",
    "upgrad": "tab:blue",
}


def draw(paths: dict[str, Tensor], aims: Sequence[str], folder: Path) -> None:
    """`fronts.png` and `fronts.svg`; with the rays of the preferences for the methods that aim at them."""
    from matplotlib import pyplot as plt

    sweeps = [key for key in paths if key.startswith("vlmop2")]
    figure = plt.figure(figsize=(16, 7), layout="constrained")
    grid = figure.add_gridspec(2, 6 * 3)
    vlmop2 = VLMOP2()
    front = vlmop2(vlmop2.pareto_set(201))[0]
    for column, key in enumerate(sweeps):
        panel = figure.add_subplot(grid[0, 3 * column : 3 * column + 3])
        panel.plot(*front.T, color="0.7", linewidth=4, solid_capstyle="round")
        if key.split("/")[1] in aims:
            for end in on_ray(front, preferences(len(paths[key][-1]))):
                panel.plot((0, end[0]), (0, end[1]), color="0.85", linewidth=0.7, zorder=0)
        panel.plot(*vlmop2(paths[key][-1])[0].T, "o", color="tab:red", markersize=5, alpha=0.7)
        panel.set_title(f"VLMOP2, {TITLES[key.split('/')[1]]}", fontsize=10)
        panel.set_xlabel("loss 1")
        if not column:
            panel.set_ylabel("loss 2")
        panel.set_xlim(-0.05, 1.05)
        panel.set_ylim(-0.05, 1.05)
        panel.set_aspect("equal")
    for column, (key, problem) in enumerate(QUADRATICS.items()):
        panel = figure.add_subplot(grid[1, 6 * column : 6 * column + 6])
        pareto = problem.pareto_set(401)
        panel.plot(*pareto.T, "o" if key == "ewq" else "-", color="0.7", linewidth=5, markersize=9, label="Pareto set")
        for name, colour in SHOWN.items():
            for run, path in enumerate(paths[f"{key}/{name}"].unbind(1)):
                panel.plot(*path.T, color=colour, linewidth=1.3, label=None if run else TITLES[name])
                panel.plot(*path[-1], "*", color=colour, markersize=9, markeredgecolor="black", markeredgewidth=0.5)
        panel.plot(*problem.starts.T, "o", color="black", markersize=4)
        panel.locator_params(nbins=5)
        panel.set_title(key.upper(), fontsize=10)
        panel.set_xlabel("x1")
        if not column:
            panel.set_ylabel("x2")
            panel.legend(fontsize=8, loc="best")
    for kind in ("png", "svg"):
        figure.savefig(folder / f"fronts.{kind}", dpi=110)
    plt.close(figure)
