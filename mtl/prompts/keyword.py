"""The task's keywords before the text: `分类 标签 类别：` and then the text."""

from collections.abc import Hashable, Iterable

from mtl.data.task import Task
from mtl.errors import MtlError
from mtl.prompts.base import Prompt


class Keyword(Prompt):
    """Keywords joined by `separator`, then `mark`, then the text."""

    def __init__(self, separator: str = " ", mark: str = "：") -> None:
        for name, value in (("separator", separator), ("mark", mark)):
            if not isinstance(value, str):
                raise MtlError(f"{name} should be text. Found {value!r}")
        self.separator, self.mark = separator, mark

    def fit(self, task: Task, texts: Iterable[str]) -> None:
        """There is nothing to fit; a task without keywords is refused."""
        if not task.keywords:
            raise MtlError(f"prompt keyword needs keywords. Task {task.name} has none: add `keywords: [...]` to it")

    def render(self, task: Task, text: str) -> tuple[str, str]:
        """The keywords stand before the text."""
        return self.separator.join(task.keywords) + self.mark, ""

    def signature(self, task: Task) -> Hashable:
        """The words themselves."""
        return self.render(task, "")
