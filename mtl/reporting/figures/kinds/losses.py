"""Losses and validation scores by task over the steps: a line a configuration."""

from matplotlib.figure import Figure

from mtl.errors import MtlError
from mtl.reporting.columns import primaries
from mtl.reporting.figures.asked import Asked, say
from mtl.reporting.figures.curves import band_text, curve, plot
from mtl.reporting.figures.style import line_looks, name_lines, panels


def draw(asked: Asked, figure: Figure) -> str:
    """A column a task; rows: loss in training and on validation, primary metric on validation, or what is asked for."""
    primary = {column.task: column.key.rsplit("/", 1)[-1] for column in primaries(asked.records)}
    wanted = [("train", "loss"), ("val", "loss"), ("val", None)]
    if asked.metric:
        wanted = [("train", "loss"), ("val", "loss")] if asked.metric == "loss" else [("val", asked.metric)]
    rows = [[f"{split}/{task}/{metric or primary.get(task)}" for task in asked.tasks] for split, metric in wanted]
    history = asked.histories([metric for row in rows for metric in row])
    missing = [metric for row in rows for metric in row if metric not in set(history["metric"])]
    if missing:
        there = [name for name in asked.recorded if name.startswith(("train/", "val/"))]
        raise MtlError(f"metric: {missing[0]} is not recorded. There is: {', '.join(sorted(there))}")
    columns = len(asked.tasks)
    grid = panels(figure, [*asked.tasks, *[""] * ((len(rows) - 1) * columns)], columns, 1.2)
    shown = line_looks(asked.groups)
    drawn = []
    for axes, metric in zip(grid, [metric for row in rows for metric in row], strict=True):
        for name, group in asked.groups.items():
            if line := curve(history, group, metric, asked.band):
                plot(axes, line, shown[name], say(name))
                drawn.append(line)
        split, _, score = metric.split("/")
        axes.set_ylabel(f"{split} {score}")
        axes.sharex(grid[0])
    figure.supxlabel("optimiser step", fontsize=7.5)
    name_lines(figure, grid)
    return f"Losses and scores by task over training, {asked.count()}; {band_text(drawn, asked.band)}"
