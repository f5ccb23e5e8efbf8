"""Values measured on the row, written as words before the text: `长度高 标点低：` (in the manner of TabLLM, 2023)."""

import unicodedata
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mtl.data.task import Task
from mtl.errors import MtlError, choices
from mtl.prompts.base import Prompt


def _share(text: str, inside: Callable[[str], bool]) -> float:
    return sum(map(inside, text)) / max(len(text), 1)


MEASURES: dict[str, Callable[[str], float]] = {
    "长度": len,
    "标点": lambda text: _share(text, lambda c: unicodedata.category(c)[0] == "P"),
    "数字": lambda text: _share(text, str.isdigit),
    "感叹": lambda text: text.count("!") + text.count("！"),
    "重复": lambda text: 1 - len(set(text)) / max(len(text), 1),
}
"""length, share of punctuation, share of digits, exclamation marks, share of repeated characters."""


class Feature(Prompt):
    """Each measure as one of `levels`, the cuts between them being quantiles of the task's training texts.

    Numbers are quantised since tokenizers cut a number into meaningless parts. A text that equals a cut belongs to the
    level below it; a measure that is the same for nearly all texts may leave levels unused.
    """

    def __init__(self, measures: Sequence[str] = tuple(MEASURES), levels: Sequence[str] = ("低", "中", "高")) -> None:
        unknown = [name for name in measures if name not in MEASURES]
        if unknown or not measures:
            raise MtlError(f"measures should be of {choices(MEASURES)}. Found {unknown or 'none'}")
        if len(levels) < 2 or len(set(levels)) < len(levels):
            raise MtlError(f"levels should be two or more distinct words. Found {list(levels)}")
        self.measures, self.levels = tuple(measures), tuple(levels)
        self.cuts: dict[str, list[list[float]]] = {}

    def fit(self, task: Task, texts: Iterable[str]) -> None:
        """Take the cuts from the training texts: `len(levels) - 1` quantiles a measure."""
        kept = list(texts)
        at = np.arange(1, len(self.levels)) / len(self.levels)
        self.cuts[task.name] = [
            np.quantile([MEASURES[name](text) for text in kept], at).tolist() for name in self.measures
        ]

    def render(self, task: Task, text: str) -> tuple[str, str]:
        """Measure by measure its name and level, before the text."""
        said = [
            name + self.levels[int(np.searchsorted(cuts, MEASURES[name](text)))]
            for name, cuts in zip(self.measures, self.cuts[task.name], strict=True)
        ]
        return " ".join(said) + "：", ""

    def signature(self, task: Task) -> Hashable:
        """The cuts: tasks of the same rows have the same ones."""
        return tuple(map(tuple, self.cuts[task.name]))

    def wording(self, task: Task) -> str:
        """All names and levels."""
        return " ".join((*self.measures, *self.levels, "："))

    def state(self) -> dict[str, Any]:
        """The cuts by task."""
        return {"cuts": self.cuts}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take the cuts back."""
        self.cuts = {name: list(cuts) for name, cuts in state["cuts"].items()}
