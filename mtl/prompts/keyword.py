"""The task's keywords before the text: `分类 标签 类别：` and then the text."""

from collections.abc import Hashable, Iterable, Mapping, Sequence

from mtl.data.task import Task
from mtl.errors import MtlError
from mtl.prompts.base import Prompt, known


class Keyword(Prompt):
    """Keywords joined by `separator`, then `mark`, then the text.

    Args:
        separator: between keywords.
        mark: after the last one.
        keywords: by task, in place of the tasks' own.
    """

    def __init__(
        self, separator: str = " ", mark: str = "：", keywords: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        for name, value in (("separator", separator), ("mark", mark)):
            if not isinstance(value, str):
                raise MtlError(f"{name} should be text. Found {value!r}")
        self.separator, self.mark = separator, mark
        for name, words in (keywords or {}).items():
            if isinstance(words, str) or not words or not all(isinstance(word, str) and word for word in words):
                raise MtlError(f"keywords.{name} should be a list of words. Found {words!r}")
        self.keywords = keywords and {name: tuple(words) for name, words in keywords.items()}

    def check(self, tasks: Iterable[str]) -> None:
        """The tasks that it brings words for should be of the run."""
        known("keywords", self.keywords or (), tasks)

    def fit(self, task: Task, texts: Iterable[str]) -> None:
        """There is nothing to fit; a task without keywords is refused."""
        if self.keywords and task.name not in self.keywords:
            raise MtlError(f"the prompt has keywords for {', '.join(self.keywords)}. Task {task.name} has none there")
        if not self.keywords and not task.keywords:
            raise MtlError(f"prompt keyword needs keywords. Task {task.name} has none: add `keywords: [...]` to it")

    def render(self, task: Task, text: str) -> tuple[str, str]:
        """The keywords stand before the text."""
        words = self.keywords[task.name] if self.keywords else task.keywords
        return self.separator.join(words) + self.mark, ""

    def signature(self, task: Task) -> Hashable:
        """The words themselves."""
        return self.render(task, "")
