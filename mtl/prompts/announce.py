"""Texts as a task's prompt announces them, for training and for answering alike."""

from collections.abc import Sequence
from dataclasses import replace

from mtl.data.encoder import Encoder
from mtl.data.inputs import Inputs
from mtl.data.task import Task
from mtl.prompts.base import Prompt


def announced(
    prompt: Prompt,
    task: Task,
    texts: Sequence[str],
    tokens: Sequence[Sequence[str]] | None,
    vocabulary: Encoder,
    max_length: int,
) -> Inputs:
    """Words, room for learned vectors, and numbers measured; MtlError where no room for a text is left."""
    render = lambda text: prompt.render(task, text)  # noqa: E731
    inputs = Inputs.build(texts, tokens, render, vocabulary, max_length, prompt.virtual(task.name))
    return replace(inputs, numbers=prompt.measure(task, texts))
