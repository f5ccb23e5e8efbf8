"""One self-contained page of HTML about what turns of one task do to another."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mtl.errors import MtlError
from mtl.reporting.context_switch.layout import lay_out
from mtl.reporting.pages import render

if TYPE_CHECKING:
    from mtl.training.context_switch import Line

STYLE = "svg { max-width: 100%; height: auto; display: block; }\n"


def headline(lines: "Sequence[Line]") -> str:
    """The switch that costs most after the longest histories, in one line."""
    most = max(line.turns for line in lines)
    switches = [line for line in lines if line.turns == most and line.history != line.task]
    harms = [line for line in switches if line.change < 0]
    after = f"after {most} turn{'s' if most > 1 else ''}"
    if not harms:
        return f"No switch of the task lowers a score {after} ({len(switches)} switches)"
    worst = min(harms, key=lambda line: line.change)
    same = next(one for one in lines if one.turns == most and one.history == one.task == worst.task)
    return (
        f"Largest harm {after}: {worst.history} → {worst.task}, {worst.metric} {worst.change:+.1f} % "
        f"(after its own turns {same.change:+.1f} %; {worst.rows} rows; {len(harms)} of {len(switches)} switches lower "
        "a score)"
    )


def page(lines: "Sequence[Line]", **facts: Any) -> str:
    """The page; every value is escaped.

    Args:
        lines: of all pairs and lengths.
        facts: `run_id`, `name`, `split`, `seed`.
    """
    layout = lay_out(lines)
    turns = sorted({line.turns for line in lines if line.turns})
    return render(
        Path(__file__).parent,
        f"Switches in context: {facts['name']}",
        STYLE,
        headline=headline(lines),
        maps=[(count, _maps(lines, count)) for count in reversed(turns)],
        layout=layout,
        **facts,
    )


def _maps(lines: "Sequence[Line]", turns: int) -> str:
    """Heat maps of one length of the histories, as SVG."""
    try:
        from mtl.reporting.switches_figures import HARM, HELP, matrices
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise MtlError("the page needs matplotlib: pip install 'mtl[figures]'") from None
    tasks = [line.task for line in lines if not line.turns]
    known = {
        "change of the score (%)": (lambda line: line.change, HELP),
        "zero-shot sensitivity": (lambda line: line.zero_shot.mean, HARM),
        "confidence sensitivity": (lambda line: line.confidence.mean, HARM),
        "loss sensitivity": (lambda line: line.loss.mean, HARM),
    }
    ours = {
        "switch cost": (lambda line: line.switch.mean if line.switch else math.nan, HARM),
        "of it which label": (lambda line: line.choice.mean if line.choice else math.nan, HARM),
        "format failures (%)": (lambda line: 100 * line.failures, HARM),
    }
    drawn = []
    for shown in (known, ours):
        found = {}
        for title, (value, colours) in shown.items():
            matrix = np.full((len(tasks), len(tasks)), np.nan)
            for line in lines:
                if line.turns == turns:
                    matrix[tasks.index(line.history), tasks.index(line.task)] = value(line)
            found[title] = (matrix, colours)
        drawn.append(matrices(tasks, found, "scored", "history"))
    return "".join(drawn)
