"""Task weights over the steps: a panel a configuration, a line a task."""

from matplotlib.figure import Figure

from mtl.errors import MtlError
from mtl.reporting.figures.asked import Asked, say
from mtl.reporting.figures.curves import band_text, curve, plot
from mtl.reporting.figures.style import line_style, name_lines, panels


def draw(asked: Asked, figure: Figure) -> str:
    """Mean over seeds with a band."""
    names = {task: f"train/{task}/weight" for task in asked.tasks}
    history = asked.histories(list(names.values()))
    if history.empty:
        raise MtlError(f"weights: no run recorded {' or '.join(names.values())}")
    drawn = []
    columns = 2 if figure.get_figwidth() < 5 else 4
    grid = panels(figure, list(map(say, asked.groups)), columns, 1.3, alike=True)
    for axes, group in zip(grid, asked.groups.values(), strict=True):
        for place, (task, metric) in enumerate(names.items()):
            if line := curve(history, group, metric, asked.band):
                # equal weights lie on each other: the first lines are the widest
                width = 1.2 + 0.6 * max(0, min(len(names), 4) - 1 - place)
                plot(axes, line, {**line_style(place), "linewidth": width}, task)
                drawn.append(line)
    grid[0].set_ylim(bottom=min(0.0, grid[0].get_ylim()[0]))
    figure.supxlabel("optimiser step", fontsize=7.5)
    figure.supylabel("task weight", fontsize=7.5)
    name_lines(figure, grid)
    return f"Task weights over training, {asked.count()}; {band_text(drawn, asked.band)}"
