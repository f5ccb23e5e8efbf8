"""No prompt: the trunk reads the text alone and only the head knows the task."""

from collections.abc import Hashable

from mtl.data.task import Task
from mtl.prompts.base import Prompt


class NoPrompt(Prompt):
    """The baseline of every other prompt."""

    def render(self, task: Task, text: str) -> tuple[str, str]:
        """Nothing before, nothing after."""
        return "", ""

    def signature(self, task: Task) -> Hashable:
        """All tasks are alike."""
        return "none"
