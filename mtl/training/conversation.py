"""Rows that stand at the end of a conversation: turns of another task before them, each with its true answer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b

import numpy as np

from mtl.data.encoder import Encoder
from mtl.data.inputs import Inputs
from mtl.data.task import LabelledRows
from mtl.errors import MtlError
from mtl.model.cloze.cloze import Plan
from mtl.prompts.announce import announced
from mtl.prompts.base import Prompt

BREAK = "\n"
"""Stands after each answer."""


def random_of(seed: int, *names: str) -> np.random.Generator:
    """Random numbers that belong to a seed and names, whatever other tasks there are."""
    return np.random.default_rng([seed, *blake2b("\0".join(names).encode(), digest_size=16).digest()])


def told(rows: LabelledRows, chosen: np.ndarray, prompt: Prompt, encoder: Encoder, max_length: int) -> Inputs:
    """Rows of a corpus as the task's prompt announces them."""
    tokens = None if rows.corpus.tokens is None else [rows.corpus.tokens[row] for row in chosen]
    texts = [rows.corpus.texts[row] for row in chosen]
    return announced(prompt, rows.task, texts, tokens, encoder, max_length)


class Histories:
    """R histories of a task, each up to K turns long; the one of k turns is the first k of it.

    A turn is a row of the training split in the run's own wording, the first word of its true label and a line break.
    A learned prompt's vectors are no words: a turn has none. No row is twice in one history.

    Args:
        rows: of the task.
        plan: of its label words.
        prompt: fitted.
        encoder: of the run.
        max_length: tokens of one turn without its answer, as in training.
        turns: K.
        count: R.
        seed: of the choice; it depends on nothing else but the task's name and rows.
    """

    def __init__(
        self,
        rows: LabelledRows,
        plan: Plan,
        prompt: Prompt,
        encoder: Encoder,
        max_length: int,
        turns: int,
        count: int,
        seed: int,
    ) -> None:
        there = rows.rows["train"]
        if turns > len(there):
            raise MtlError(
                f"turns should be at most {len(there)}, the training rows of {rows.task.name}. Found {turns}"
            )
        random = random_of(seed, "history", rows.task.name)
        self.rows = np.stack([random.permutation(there)[:turns] for _ in range(count)])
        distinct, places = np.unique(self.rows, return_inverse=True)
        inputs = told(rows, distinct, prompt, encoder, max_length)
        end = encoder.encode_prompt(BREAK)
        first, last = len(encoder.start), len(encoder.end)
        self._labels = rows.targets
        self._turns = []
        for row, (begin, stop) in zip(distinct, zip(inputs.starts, inputs.starts[1:], strict=False), strict=True):
            target = rows.targets[row]
            assert target is not None
            word = np.array(plan.words_of(int(target))[0], dtype=np.int32)
            self._turns.append(np.concatenate((inputs.ids[begin + first : stop - last], word, end)))
        self._places = places.reshape(self.rows.shape)

    def ids(self, turns: int) -> list[np.ndarray]:
        """R histories of this many turns."""
        return [np.concatenate([self._turns[place] for place in row[:turns]]) for row in self._places]

    def answered_last(self, turns: int) -> list[int]:
        """R labels, of the last turn of the histories of this many turns."""
        return [int(self._labels[row]) for row in self.rows[:, turns - 1]]


def after(inputs: Inputs, histories: Sequence[np.ndarray], encoder: Encoder) -> Inputs:
    """The rows with a history before each: behind the special tokens that stand before every input."""
    at = len(encoder.start)
    rows = [inputs.ids[begin:stop] for begin, stop in zip(inputs.starts, inputs.starts[1:], strict=False)]
    joined = [np.concatenate((row[:at], history, row[at:])) for row, history in zip(rows, histories, strict=True)]
    further = np.array([len(history) for history in histories])
    return replace(
        inputs,
        ids=np.concatenate(joined),
        starts=np.cumsum([0, *map(len, joined)]),
        text_at=inputs.text_at + further,
        text_to=None if inputs.text_to is None else inputs.text_to + further,
        place_at=None if inputs.place_at is None else inputs.place_at + further,
    )


def check_room(
    targets: Mapping[str, Inputs],
    histories: Mapping[str, Histories],
    taken: Mapping[str, int],
    most: int,
    limit: int | None,
) -> None:
    """MtlError where a conversation is longer than what the trunk can read; it says how many turns fit.

    Args:
        targets: rows of each task.
        histories: of each task.
        taken: places of a task's learned prompt and of its longest label word, but for the word's last piece.
        most: turns of the longest histories.
        limit: positions of the trunk; `None`: it doesn't say.
    """

    def fits(turns: int) -> bool:
        return limit is None or all(
            len(history) + length + taken[name] <= limit
            for name, inputs in targets.items()
            for mine in histories.values()
            for history, length in zip(mine.ids(turns), inputs.lengths, strict=False)
        )

    if not fits(most):
        fit = next((turns for turns in range(most - 1, 0, -1) if fits(turns)), 0)
        raise MtlError(
            f"turns should be at most {fit}: with more, a conversation is longer than the {limit} positions of the "
            f"trunk. Found {most}"
        )
