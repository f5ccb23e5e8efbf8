"""A trained model with what it needs to read a text: prompt, vocabulary, tasks."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from mtl.data.batch import Batch, TaskRows
from mtl.data.inputs import Inputs
from mtl.data.kinds import Answer
from mtl.data.task import Task
from mtl.data.vocabulary import Vocabulary
from mtl.errors import MtlError
from mtl.model.multitask import MultiTaskModel
from mtl.prompts.base import Prompt


class Predictor:
    """Answers texts as the model was trained to read them.

    Args:
        model: trunk and heads.
        tasks: the tasks that the model knows.
        prompt: fitted.
        vocabulary: fitted.
        max_length: tokens of an input.
    """

    def __init__(
        self, model: MultiTaskModel, tasks: Mapping[str, Task], prompt: Prompt, vocabulary: Vocabulary, max_length: int
    ) -> None:
        self.model = model.eval()
        self.tasks, self.prompt, self.vocabulary, self.max_length = dict(tasks), prompt, vocabulary, max_length

    def answer(self, texts: Sequence[str], tasks: Sequence[str] | None = None) -> list[dict[str, Answer]]:
        """For each text the answer of each task asked for (all of them by default).

        A tagging task gives one tag a token: words between spaces where the vocabulary is of words or the text has
        spaces, else characters.
        """
        for name in tasks or []:
            if name not in self.tasks:
                raise MtlError(f"the run has the tasks {', '.join(self.tasks)}. Found '{name}'")
        if any(not text.strip() for text in texts):
            raise MtlError("a text should have a character that is not a space. Found an empty one")
        answers: list[dict[str, Answer]] = [{} for _ in texts]
        for name in tasks or self.tasks:
            for row, answer in enumerate(self._of_task(self.tasks[name], texts)):
                answers[row][name] = answer
        return answers

    @torch.no_grad()
    def _of_task(self, task: Task, texts: Sequence[str]) -> list[Answer]:
        words = self.vocabulary.unit == "words"
        tokens = [text.split() if words or len(text.split()) > 1 else list(text.strip()) for text in texts]
        inputs = Inputs.build(
            texts,
            tokens if task.kind.per_token else None,
            lambda text: self.prompt.render(task, text),
            self.vocabulary,
            self.max_length,
        )
        rows = np.arange(len(texts))
        ids = inputs.pad(rows, int(inputs.lengths.max()))
        share = {task.name: TaskRows(None, torch.zeros(len(texts)))}
        outputs = self.model(Batch(torch.from_numpy(ids), torch.from_numpy(inputs.lengths), share))[task.name]
        if inputs.first is None:
            return [task.kind.answer(output) for output in outputs]
        return [task.kind.answer(output[inputs.text_at[row] + inputs.first[row]]) for row, output in enumerate(outputs)]
