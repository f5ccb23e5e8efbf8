"""The task's sentence around the text: `…，这是一个分类问题，标签是：`."""

from collections.abc import Hashable, Iterable

from mtl.data.task import SLOT, Task
from mtl.errors import MtlError
from mtl.prompts.base import Prompt


class Phrase(Prompt):
    """The text goes into the slot `{text}` of the task's phrase."""

    def fit(self, task: Task, texts: Iterable[str]) -> None:
        """There is nothing to fit; a task without a phrase is refused."""
        if not task.phrase:
            raise MtlError(f'prompt phrase needs a phrase. Task {task.name} has none: add `phrase: "…{SLOT}…"` to it')

    def render(self, task: Task, text: str) -> tuple[str, str]:
        """What the phrase has before its slot, and after it."""
        before, _, after = task.phrase.partition(SLOT)
        return before, after

    def signature(self, task: Task) -> Hashable:
        """The sentence itself."""
        return task.phrase
