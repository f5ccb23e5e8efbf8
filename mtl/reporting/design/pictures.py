"""The figures of a design: lengths and labels of each task, scores round by round, finalists against controls."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mtl.reporting.figures.style import COLOURS, MARKERS, new_figure, styled
from mtl.reporting.report.pictures import PIXELS, Picture, as_data

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mtl.design.analysis import TaskFacts
    from mtl.design.trunk import TrunkFacts
    from mtl.reporting.design.page import Line, Score


def pictures(
    facts: "Mapping[str, TaskFacts]",
    trunk: "Mapping[str, TrunkFacts]",
    scores: "Sequence[Score]",
    lines: "Sequence[Line]",
) -> dict[str, Picture]:
    """By kind: `tasks`, `probes`, `rounds`, `differences`."""
    with styled():
        return {
            "tasks": _picture("tasks", _tasks(facts), "Length of the training texts and balance of the labels"),
            "probes": _picture(
                "probes", _probes(facts, trunk), "How far each task is told apart before training: validation accuracy"
            ),
            "rounds": _picture(
                "rounds", _rounds(scores), "Mean over tasks of the validation score, on the half that chooses"
            ),
            "differences": _picture(
                "differences",
                _differences(lines),
                "Finalist less control on the half that did not choose; bars are 95 % bootstrap intervals over rows",
            ),
        }


def _picture(kind: str, drawing: "Figure", caption: str) -> Picture:
    return Picture(kind, kind, caption, as_data(drawing), round(PIXELS * drawing.get_figwidth()))


def _tasks(facts: "Mapping[str, TaskFacts]") -> "Figure":
    figure = new_figure("page")
    figure.set_figheight(1.8 * len(facts))
    axes = figure.subplots(len(facts), 2, squeeze=False)
    for (name, found), (left, right) in zip(facts.items(), axes, strict=True):
        longest = np.quantile(found.lengths, 0.99)
        left.hist(np.minimum(found.lengths, longest), bins=40, color=COLOURS[0])
        left.set(title=name, xlabel="characters (the longest 1 % together)", ylabel="texts")
        right.barh(list(found.balance)[::-1], list(found.balance.values())[::-1], color=COLOURS[2])
        right.set(title=name, xlabel="share of the training rows")
    return figure


def _probes(facts: "Mapping[str, TaskFacts]", trunk: "Mapping[str, TrunkFacts]") -> "Figure":
    figure = new_figure("page")
    bars = {
        "commonest label": ("0.7", {task: found.probes["majority"] for task, found in facts.items()}),
        **{
            f"{title} on {where}": (
                colour,
                {task: found.probes[name] for task, found in of.items() if name in found.probes},
            )
            for where, of, colours in (("words", facts, COLOURS[:2]), ("the trunk", trunk, COLOURS[2:4]))
            for (name, title), colour in zip({"linear": "linear", "knn": "kNN"}.items(), colours, strict=True)
        },
    }
    shown = {name: bar for name, bar in bars.items() if bar[1]}
    figure.set_figheight(0.8 + 0.17 * (len(shown) + 1) * len(facts))
    axes = figure.subplots()
    for place, (name, (colour, scores)) in enumerate(shown.items()):
        at = [list(facts).index(task) * (len(shown) + 1) + place for task in scores]
        axes.barh(at, list(scores.values()), color=colour, label=name)
        for y, value in zip(at, scores.values(), strict=True):
            axes.text(value + 0.005, y, f"{value:.3f}", va="center", fontsize=6)
    middle = (len(shown) - 1) / 2
    axes.set(yticks=[task * (len(shown) + 1) + middle for task in range(len(facts))], yticklabels=list(facts))
    axes.set(xlim=(0, 1.06), xlabel="accuracy")
    axes.invert_yaxis()
    figure.legend(loc="outside right upper")
    return figure


def _rounds(scores: "Sequence[Score]") -> "Figure":
    figure = new_figure("page")
    axes = figure.subplots()
    for place, name in enumerate(dict.fromkeys(one.name for one in scores)):
        mine = [one for one in scores if one.name == name]
        axes.plot(
            [one.number for one in mine],
            [one.mean for one in mine],
            marker=MARKERS[place % len(MARKERS)],
            color=COLOURS[place % len(COLOURS)],
            linestyle=":" if mine[0].control else "-",
            markersize=4,
            label=name.removeprefix("design_"),
        )
    last = max(one.number for one in scores)
    axes.set(xlabel="round", ylabel="validation score", xlim=(0.7, last + 0.3), xticks=range(1, last + 1))
    figure.legend(loc="outside right upper")
    return figure


def _differences(lines: "Sequence[Line]") -> "Figure":
    figure = new_figure("page")
    figure.set_figheight(0.6 + 0.17 * len(lines))
    axes = figure.subplots()
    tasks = list(dict.fromkeys(line.task for line in lines))
    for place, line in enumerate(lines):
        colour, found = COLOURS[tasks.index(line.task) % len(COLOURS)], line.difference
        axes.plot([found.low, found.high], [place, place], color=colour)
        axes.plot(found.value, place, "o", markersize=3, color=colour)
    axes.axvline(0, color="0.6", linewidth=0.8)
    words = [f"{line.name} − {line.control}, {line.task}".replace("design_", "") for line in lines]
    axes.set(yticks=range(len(lines)), yticklabels=words, xlabel="difference of the primary metric")
    axes.invert_yaxis()
    return figure
