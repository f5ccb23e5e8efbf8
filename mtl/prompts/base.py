"""The question every prompt answers: how is a task announced in the text that the trunk reads?"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mtl.data.inputs import PLACE
from mtl.data.task import Task
from mtl.errors import MtlError


class Prompt(ABC):
    """A task and a text -> what stands before the text and what stands after it. The text itself is never changed."""

    def check(self, tasks: Iterable[str]) -> None:  # noqa: B027
        """MtlError where an option names a task that is not of these."""

    def fit(self, task: Task, texts: Iterable[str]) -> None:  # noqa: B027
        """Learn what the prompt measures from the task's training texts; MtlError where the task lacks something."""

    @abstractmethod
    def render(self, task: Task, text: str) -> tuple[str, str]:
        """(before, after)."""

    @abstractmethod
    def signature(self, task: Task) -> Hashable:
        """Equal for two tasks exactly when they announce every text alike: such tasks share the trunk's work."""

    def virtual(self, task: str) -> int:
        """Places of the trunk that the prompt takes for the task of this name beside its words."""
        return 0

    def measure(self, task: Task, texts: Sequence[str]) -> np.ndarray | None:
        """N x F numbers that the model is told of N texts (float32); `None`: none."""
        return None

    def wording(self, task: Task) -> str:
        """The words that the prompt may add for the task: they belong to the vocabulary."""
        return " ".join(part.replace(PLACE, " ") for part in self.render(task, "") if part)

    def state(self) -> dict[str, Any]:
        """What was fitted, as plain data for a checkpoint."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Take back what `state` gave."""


def known(field: str, named: Iterable[str], tasks: Iterable[str]) -> None:
    """MtlError where an option names a task that the run doesn't have."""
    there = list(tasks)
    for name in named:
        if name not in there:
            raise MtlError(f"prompt: {field} should name tasks of the run: {', '.join(there)}. Found '{name}'")
