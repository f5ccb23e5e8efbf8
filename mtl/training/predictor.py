"""A trained model with what it needs to read a text: prompt, vocabulary, tasks."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from mtl.data.batch import Batch
from mtl.data.encoder import Encoder
from mtl.data.kinds import Answer
from mtl.data.task import Task
from mtl.errors import MtlError
from mtl.model.multitask import MultiTaskModel
from mtl.prompts.announce import announced
from mtl.prompts.base import Prompt

if TYPE_CHECKING:
    import pandas as pd

TEXTS_AT_ONCE = 256


class Predictor:
    """Answers texts as the model was trained to read them.

    Args:
        model: trunk and heads.
        tasks: the tasks that the model knows.
        prompt: fitted.
        vocabulary: fitted, or the tokenizer of a pretrained trunk.
        max_length: tokens of an input.
    """

    def __init__(
        self, model: MultiTaskModel, tasks: Mapping[str, Task], prompt: Prompt, vocabulary: Encoder, max_length: int
    ) -> None:
        self.model = model.eval()
        self.tasks, self.prompt, self.vocabulary, self.max_length = dict(tasks), prompt, vocabulary, max_length

    def answer(self, texts: Sequence[str], tasks: Sequence[str] | None = None) -> list[dict[str, Answer]]:
        """For each text the answer of each task asked for (all of them by default).

        A tagging task gives one tag a token: words between spaces where the vocabulary is of words or the text has
        spaces, else characters.
        """
        return self.answer_each(texts, [tasks or list(self.tasks)] * len(texts))

    def answer_each(self, texts: Sequence[str], asked: Sequence[Sequence[str]]) -> list[dict[str, Answer]]:
        """For each text the answers of the tasks that are asked of it; MtlError for an unknown one or an empty text."""
        for name in dict.fromkeys(name for names in asked for name in names):
            if name not in self.tasks:
                raise MtlError(f"the run has the tasks {', '.join(self.tasks)}. Found '{name}'")
        if any(not isinstance(text, str) or not text.strip() for text in texts):
            raise MtlError("a text should have a character that is not a space. Found an empty one")
        found: dict[tuple[int, str], Answer] = {}
        for name, task in self.tasks.items():
            # texts of a like length together, so that little is padded
            rows = sorted((row for row, names in enumerate(asked) if name in names), key=lambda row: len(texts[row]))
            for start in range(0, len(rows), TEXTS_AT_ONCE):
                part = rows[start : start + TEXTS_AT_ONCE]
                for row, answer in zip(part, self._of_task(task, [texts[row] for row in part]), strict=True):
                    found[row, name] = answer
        return [{name: found[row, name] for name in names} for row, names in enumerate(asked)]

    @torch.no_grad()
    def _of_task(self, task: Task, texts: Sequence[str]) -> list[Answer]:
        words = self.vocabulary.unit == "words"
        tokens = [text.split() if words or len(text.split()) > 1 else list(text.strip()) for text in texts]
        asked = tokens if task.kind.per_token else None
        inputs = announced(self.prompt, task, texts, asked, self.vocabulary, self.max_length)
        outputs = self.model.answers(Batch.of(inputs, task.name))[task.name]
        if inputs.first is None:
            return [task.kind.answer(output) for output in outputs]
        return [task.kind.answer(output[inputs.text_at[row] + inputs.first[row]]) for row, output in enumerate(outputs)]


COLUMNS = ("row", "text", "task", "answer", "probability", "probabilities")


def tidy(texts: Sequence[str], answers: Sequence[Mapping[str, Answer]]) -> "pd.DataFrame":
    """One line for each text and task: `row` (of the text, from 0), `text`, `task`, `answer`, `probability`,
    `probabilities`.

    `answer` is text: the label, the number in its own unit, or a JSON list of tags (one a token) or labels; nothing
    where a language model said no label.
    `probability` is that of a single label; `probabilities` is a JSON list beside a list of tags or labels.
    """
    import pandas as pd

    lines = [
        (row, text, task, *_written(answer))
        for row, (text, given) in enumerate(zip(texts, answers, strict=True))
        for task, answer in given.items()
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"row": "int64", "probability": "float64"})


def _written(answer: Answer) -> tuple[str, float | None, str | None]:
    sure: Any = answer.probability
    if isinstance(answer.value, list):
        return json.dumps(answer.value, ensure_ascii=False), None, json.dumps(sure)
    return "" if answer.value is None else str(answer.value), sure, None
