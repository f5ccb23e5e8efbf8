"""The task's sentence around the text: `…，这是一个分类问题，标签是：`."""

from collections.abc import Hashable, Iterable, Mapping

from mtl.data.inputs import PLACE
from mtl.data.task import SLOT, Task
from mtl.errors import MtlError
from mtl.prompts.base import Prompt, known


class Phrase(Prompt):
    """The text goes into the slot `{text}` of the task's phrase.

    Args:
        phrases: by task, in place of the tasks' own.
    """

    def __init__(self, phrases: Mapping[str, str] | None = None) -> None:
        for name, phrase in (phrases or {}).items():
            if not isinstance(phrase, str) or phrase.count(SLOT) != 1:
                raise MtlError(f"phrases.{name} should hold the slot {SLOT} once. Found {phrase!r}")
            if phrase.count(PLACE) > 1:
                raise MtlError(f"phrases.{name} should hold {PLACE} once at most. Found {phrase!r}")
        self.phrases = phrases and dict(phrases)

    def check(self, tasks: Iterable[str]) -> None:
        """The tasks that it brings words for should be of the run."""
        known("phrases", self.phrases or (), tasks)

    def fit(self, task: Task, texts: Iterable[str]) -> None:
        """There is nothing to fit; a task without a phrase is refused."""
        if self.phrases and task.name not in self.phrases:
            raise MtlError(f"the prompt has phrases for {', '.join(self.phrases)}. Task {task.name} has none there")
        if not self.phrases and not task.phrase:
            raise MtlError(f'prompt phrase needs a phrase. Task {task.name} has none: add `phrase: "…{SLOT}…"` to it')

    def render(self, task: Task, text: str) -> tuple[str, str]:
        """What the phrase has before its slot, and after it."""
        before, _, after = self._phrase(task).partition(SLOT)
        return before, after

    def signature(self, task: Task) -> Hashable:
        """The sentence itself."""
        return self._phrase(task)

    def _phrase(self, task: Task) -> str:
        return self.phrases[task.name] if self.phrases else task.phrase
