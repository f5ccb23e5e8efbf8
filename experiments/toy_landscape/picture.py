"""The landscape's picture: contours of the sum of the losses, paths from five starts, and the Pareto set."""

from pathlib import Path

import torch
from torch import Tensor

from .landscape import landscape, pareto_x2

TITLES = {
    "equal": "Equal weights (LS)",
    "rlw": "RLW",
    "mgda": "MGDA",
    "pcgrad": "PCGrad, UPGrad",
    "gradvac": "GradVac",
    "cagrad": "CAGrad, c = 0.4",
    "imtl_g": "IMTL-G",
    "conflict_free": "ConFIG",
    "nash_mtl": "Nash-MTL",
    "nash_mtl_fallback": "Nash-MTL, equal where opposite",
    "fairgrad": "FairGrad, α = 2",
    "aligned_mtl": "Aligned-MTL",
    "dualproj": "DualProj",
    "famo": "FAMO",
}


def draw(paths: dict[str, Tensor], folder: Path, protocol: str = "s0.1", columns: int = 4) -> None:
    """`landscape.png` and `landscape.svg`, a panel a method and one for each loss where there is room."""
    from matplotlib import colormaps
    from matplotlib import pyplot as plt

    names = [name for name in TITLES if f"{protocol}/{name}" in paths]
    rows = -(-(len(names) + 2) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3 * columns, 3 * rows), sharex=True, sharey=True, layout="constrained"
    )
    panels = list(axes.flat)
    grid = torch.linspace(-10, 10, 201)
    x1, x2 = torch.meshgrid(grid, grid, indexing="xy")
    losses, _ = landscape(torch.stack((x1, x2), -1), 0.1)
    heights = {"Loss 1 (times 0.1)": losses[0], "Loss 2": losses[1]} | dict.fromkeys(names, losses.sum(0))
    front = torch.linspace(-7, 7, 57)
    for panel, (name, height) in zip(panels, heights.items(), strict=False):
        panel.contour(x1, x2, height, levels=18, cmap="viridis", linewidths=0.7, alpha=0.8)
        panel.plot(front, pareto_x2(front), color="0.35", linewidth=4, solid_capstyle="round", alpha=0.7)
        panel.set_title(TITLES.get(name, name), fontsize=10)
        panel.set_xticks([-10, 0, 10])
        panel.set_yticks([-10, 0, 10])
        panel.set_xlim(-10, 10)
        panel.set_ylim(-10, 10)
        if name in names:
            for start, path in enumerate(paths[f"{protocol}/{name}"].unbind(1)):
                colour = colormaps["autumn"](start / 6)
                panel.plot(*path.T, color=colour, linewidth=1.4)
                panel.plot(*path[0], "o", color="black", markersize=4)
                panel.plot(*path[-1], "*", color=colour, markersize=11, markeredgecolor="black", markeredgewidth=0.6)
    for panel in panels[len(heights) :]:
        panel.set_visible(False)
    for kind in ("png", "svg"):
        figure.savefig(folder / f"landscape.{kind}", dpi=110)
    plt.close(figure)
