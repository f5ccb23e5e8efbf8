"""Two tasks' scores against each other: runs, means of configurations, and those that no other dominates."""

import ast
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtl.errors import MtlError
from mtl.functional.pareto import front
from mtl.reporting.baselines import is_baseline
from mtl.reporting.columns import Record, tasks_of
from mtl.reporting.figures.asked import Asked, number, say
from mtl.reporting.figures.curves import BANDS
from mtl.reporting.figures.style import COLOURS, DASHES, MARKERS, legend, looks
from mtl.reporting.table import Column

FIXED = ("fixed.Fixed", "equal.Equal")
"""Weightings without a preference whose weights stay."""
Means = Mapping[tuple[str, ...], np.ndarray]


def draw(asked: Asked, figure: Figure) -> str:
    """Pale: runs; strong: means with bars."""
    columns = [column for column in asked.columns() if column.direction][:2]
    if len(columns) < 2:
        raise MtlError(f"front needs two tasks with a score that has a direction. Tasks: {', '.join(asked.tasks)}")
    points = {name: np.array([scores(run, columns) for run in group]) for name, group in asked.groups.items()}
    points = {name: values_N2 for name, values_N2 in points.items() if np.isfinite(values_N2).all()}
    if not points:
        raise MtlError(f"front: no configuration has both {columns[0].key} and {columns[1].key} in all of its runs")
    means = {name: values_N2.mean(axis=0) for name, values_N2 in points.items()}
    wide, one_model = figure.get_figwidth() > 5, ""
    axes = figure.add_subplot()
    for name, (colour, marker) in looks(points).items():
        look: dict[str, Any] = {"color": COLOURS[colour % len(COLOURS)], "marker": MARKERS[marker % len(MARKERS)]}
        face = "white" if colour >= len(COLOURS) else look["color"]
        values_N2, mean_2 = points[name], means[name]
        axes.plot(*values_N2.T, linestyle="none", markersize=2.5, alpha=0.4, markerfacecolor=face, **look)
        x, y = _bars(values_N2, asked.band)
        axes.errorbar(
            *mean_2, yerr=y, xerr=x, fmt="none", ecolor=look["color"], elinewidth=0.8, gid=f"bars/{say(name)}"
        )
        axes.plot(*mean_2[:, None], linestyle="none", markersize=5, markerfacecolor=face, label=say(name), **look)
        if (told_R2 := _told(asked.groups[name], columns)) is not None:
            line = ":" if len(tasks_of(asked.groups[name][0])) == 2 else "none"  # of more tasks they are no curve here
            axes.plot(*told_R2.T, linestyle=line, linewidth=0.9, markersize=2.5, gid=f"told/{say(name)}", **look)
            one_model = "dotted" if line == ":" else "small"
    higher = (columns[0].direction == "max", columns[1].direction == "max")
    best = front([(float(x), float(y)) for x, y in means.values()], higher)
    joined_N2 = np.array(list(means.values()))[best]
    axes.plot(*joined_N2.T, color="0.4", linewidth=0.9, zorder=1, gid="front")
    alone = _alone(asked, axes, columns)
    rays = _rays(asked, axes, columns, means)
    for column, put in zip(columns, (axes.set_xlabel, axes.set_ylabel), strict=True):
        put(f"{column.label}{' (%)' if column.is_bounded else ''} {'↑' if column.direction == 'max' else '↓'}")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if wide:
        figure.set_size_inches(figure.get_figwidth(), max(3.0, 0.16 * len(handles)))
        figure.legend(handles.values(), handles.keys(), loc="outside right center")
    else:
        figure.set_size_inches(figure.get_figwidth(), 2.6)
        legend(figure, "lower center", handles, figure.get_figwidth())
    several = any(len(values_N2) > 1 for values_N2 in points.values())
    groups = {name: asked.groups[name] for name in points}
    parts = [
        f"{columns[0].label} and {columns[1].label}, {asked.count(groups)}",
        "pale: runs, strong: means" + (f", bars: {BANDS[asked.band]}" if several else ""),
        f"line: joins the {number(len(best), 'mean')} that no other dominates",
        *(["dashed: mean of the single-task runs"] if alone else []),
        *([rays] if rays else []),
        *([f"{one_model}: one model, told other preferences"] if one_model else []),
    ]
    return "; ".join(parts)


def scores(run: Record, columns: Sequence[Column]) -> list[float]:
    """The run's scores, in percent where they are fractions of 1; nan where they are not recorded."""
    return [float(run.get(f"metrics.{c.key}", np.nan)) * (100 if c.is_bounded else 1) for c in columns]


def _bars(values_N2: np.ndarray, band: str) -> list[np.ndarray | None]:
    """2 x 1 lengths below and above the mean, in x and in y."""
    if len(values_N2) < 2:
        return [None, None]
    mean_2 = values_N2.mean(axis=0)
    if band == "range":
        below_2, above_2 = mean_2 - values_N2.min(axis=0), values_N2.max(axis=0) - mean_2
    else:
        below_2 = above_2 = values_N2.std(axis=0, ddof=1) / np.sqrt(len(values_N2))
    return [np.array([[below], [above]]) for below, above in zip(below_2, above_2, strict=True)]


def _told(group: Sequence[Record], columns: Sequence[Column]) -> np.ndarray | None:
    """R x 2 means of both losses of models that are told a preference (COSMOS), one a preference; else `None`."""
    keys = [f"metrics.{column.key}/" for column in columns]
    names = [str(key) for key in group[0]]
    shared = [{name.removeprefix(start) for name in names if name.startswith(start)} for start in keys]
    told = [name for name in set.intersection(*shared) if np.isfinite(group[0][keys[0] + name])]
    if not told:
        return None
    told.sort(key=lambda name: [float(share) for share in name.split("-")])
    return np.array([[np.mean([run.get(key + name, np.nan) for run in group]) for key in keys] for name in told])


def _alone(asked: Asked, axes: Axes, columns: Sequence[Column]) -> bool:
    """A dashed line at the mean of the single-task runs whose baseline keys the runs shown have, one a prompt."""
    prompts: dict[str, int] = {}
    single = [record for record in asked.runs.to_dict("records") if is_baseline(record)]
    for column, line in zip(columns, (axes.axvline, axes.axhline), strict=True):
        key = f"tags.mtl.baseline_key.{column.task}"
        wanted = {record.get(key) for record in asked.records if not is_baseline(record)}
        found: dict[str, list[float]] = defaultdict(list)
        for record in single:
            if isinstance(record.get(key), str) and record[key] in wanted:
                found[str(record.get("tags.mtl.prompt"))] += scores(record, [column])
        for prompt, values in found.items():
            dashes = DASHES[1 + prompts.setdefault(prompt, len(prompts)) % 3]
            line(float(np.mean(values)), color="0.5", linewidth=0.8, linestyle=dashes, zorder=0, gid="alone")
    for prompt, place in prompts.items():
        named = f"alone × {prompt}" if len(prompts) > 1 else "alone"
        axes.plot([], [], color="0.5", linewidth=0.8, linestyle=DASHES[1 + place % 3], label=named)
    return bool(prompts)


def _rays(asked: Asked, axes: Axes, columns: Sequence[Column], means: Means) -> str:
    """Rays of the preferences and fixed weights of the runs shown, and what they are; empty where there are none.

    Between two losses, from zero: where preference times loss is equal for both, as EPO and Tchebycheff want it. Else
    from the worst of both means, towards more of the task that weighs more.
    """
    pairs = sorted({pair for name in means if (pair := _pair(asked.groups[name][0], columns))})
    losses = all(column.key.endswith("/loss") for column in columns)
    if losses and pairs:
        right, top = 1.05 * axes.get_xlim()[1], 1.05 * axes.get_ylim()[1]
        axes.set(xlim=(0, right), ylim=(0, top))
        slopes = [(1 / first, 1 / second) for first, second in pairs if first and second]
        starts_2 = np.zeros(2)
        ends = [np.array(slope) * min(right / slope[0], top / slope[1]) for slope in slopes]
        pairs = [pair for pair in pairs if all(pair)]
        said = "rays: preference times loss is equal for both"
    else:
        means_N2 = np.array(list(means.values()))
        signs_2 = np.array([1 if column.direction == "max" else -1 for column in columns])
        span_2 = np.ptp(means_N2, axis=0)
        if len(means_N2) < 2 or not span_2.all():
            return ""
        starts_2 = (means_N2 * signs_2).min(axis=0) * signs_2
        ends = [starts_2 + signs_2 * span_2 * np.array(pair) / max(pair) for pair in pairs]
        said = "rays: preferences or fixed weights, from the worst of both means, axes scaled to the means"
    limits = axes.get_xlim(), axes.get_ylim()
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.4}
    for pair, end_2 in zip(pairs, ends, strict=True):
        axes.plot(*np.stack([starts_2, end_2]).T, color="0.8", linewidth=0.7, zorder=0, gid="ray")
        at = (float(end_2[0]), float(end_2[1]))
        text, size = f"{pair[0]:g} : {pair[1]:g}", 5.5
        axes.annotate(text, at, (2, 2), textcoords="offset points", fontsize=size, color="0.45", bbox=box, zorder=1)
    axes.set(xlim=limits[0], ylim=limits[1])
    return said if pairs else ""


def _pair(record: Record, columns: Sequence[Column]) -> tuple[float, float] | None:
    """The two tasks' shares of a preference, or of fixed weights; they come to 1.

    Fixed weights are those that the run recorded: the same numbers as in its parameters, however those are written.
    """
    if isinstance(written := record.get("params.weighting.preference"), str) and written != "None":
        preference = ast.literal_eval(written)
        by_task = preference if isinstance(preference, dict) else dict(zip(tasks_of(record), preference, strict=True))
        pair = [float(by_task[str(column.task)]) for column in columns]
    elif str(record.get("params.weighting._target_")).endswith(FIXED):
        pair = [float(record.get(f"metrics.train/{column.task}/weight", np.nan)) for column in columns]
    else:
        return None
    if not (min(pair) >= 0 and sum(pair) > 0):
        return None
    first = round(pair[0] / sum(pair), 4)
    return first, round(1 - first, 4)
