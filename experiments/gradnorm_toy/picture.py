"""The study's picture: relative test loss over the steps, and the largest task's share of the weights."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .run import Point

COLOURS = {
    "equal": "tab:gray",
    "uncertainty": "tab:orange",
    "gradnorm": "tab:blue",
    "gradnorm_slow": "tab:cyan",
    "oracle": "tab:green",
}


def draw(points: "Sequence[Point]", folder: Path) -> None:
    """`gradnorm_toy.png`: a column a problem; mean over the seeds, and the band of one standard error."""
    from matplotlib import pyplot as plt

    series: dict[tuple[str, str, str], dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        weights = [float(weight) for weight in point.weights.split()]
        at = series[point.noise, point.tasks, point.method][point.step]
        at.append((point.score, weights[-1] / sum(weights)))
    problems = list(dict.fromkeys((noise, tasks) for noise, tasks, _ in series))
    figure, axes = plt.subplots(2, len(problems), figsize=(3.4 * len(problems), 6), sharex=True, layout="constrained")
    for (noise, tasks, method), marks in series.items():
        column = problems.index((noise, tasks))
        for row, panel in enumerate(axes[:, column]):
            values = [[pair[row] for pair in found] for found in marks.values()]
            means = [sum(found) / len(found) for found in values]
            errors = [
                (sum((v - m) ** 2 for v in found) / max(len(found) - 1, 1) / len(found)) ** 0.5
                for found, m in zip(values, means, strict=True)
            ]
            panel.plot(list(marks), means, color=COLOURS[method], label=method.replace("_", ", "))
            low, high = ([m + s * e for m, e in zip(means, errors, strict=True)] for s in (-1, 1))
            panel.fill_between(list(marks), low, high, color=COLOURS[method], alpha=0.25, linewidth=0)
        axes[0, column].set_title(f"T = {tasks}, noise as {noise}", fontsize=10)
        axes[1, column].set_yscale("log")
        axes[1, column].set_xlabel("steps")
    axes[0, 0].set_ylabel("test loss / $\\sigma^2$, mean over tasks")
    axes[1, 0].set_ylabel("share of weight of the largest $\\sigma$")
    axes[0, 0].legend(fontsize=8)
    figure.savefig(folder / "gradnorm_toy.png", dpi=100)
    plt.close(figure)
