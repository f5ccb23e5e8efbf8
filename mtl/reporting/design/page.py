"""One self-contained page of HTML about a design: the tasks, their words, the rounds, and the comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from mtl.functional.row_bootstrap import Difference
from mtl.reporting.pages import render

LEVEL = 0.05


@dataclass(frozen=True)
class Line:
    """One finalist against one control in one task; `holm` is p corrected over all lines."""

    name: str
    control: str
    task: str
    difference: Difference
    holm: float


@dataclass(frozen=True)
class Score:
    """One candidate in one round: validation scores of both halves, by task; the second only in the last round."""

    name: str
    control: bool
    number: int
    steps: int
    choosing: Mapping[str, float]
    comparing: Mapping[str, float]
    words: Mapping[str, str]
    run_ids: Sequence[str]

    @property
    def mean(self) -> float:
        """Over tasks, on the half that chooses."""
        return fmean(self.choosing.values())


def verdict(winner: str, lines: Sequence[Line]) -> str:
    """Which controls the winner beats in which tasks, and by which it is beaten, at 5 % after Holm's correction."""
    mine = [line for line in lines if line.name == winner]
    won, lost = (
        [f"{line.control} in {line.task}" for line in mine if line.holm <= LEVEL and sign * line.difference.value > 0]
        for sign in (1, -1)
    )
    said = (
        f"winner {winner}: better than {', '.join(won)}" if won else f"winner {winner}: not shown to beat any control"
    )
    if won and len(won) < len(mine):
        said += f" ({len(won)} of {len(mine)} comparisons)"
    return said + (f"; worse than {', '.join(lost)}" if lost else "")


def write(values: Mapping[str, Any]) -> str:
    """The page. Every value is escaped; scripts and addresses from elsewhere are forbidden to the browser as well.

    Args:
        values: facts and pairs of the tasks, keywords by task and statistic, effects of measures, what the trunk knows,
            scores, lines, and how it was asked.
    """
    import mtl
    from mtl.reporting.design.pictures import pictures

    return render(
        Path(__file__).parent,
        f"Prompts designed for {', '.join(values['facts'])}",
        **values,
        pictures=pictures(values["facts"], values["trunk"], values["scores"], values["lines"]),
        version=mtl.__version__,
        median=lambda lengths_N: int(np.median(lengths_N)),
    )
