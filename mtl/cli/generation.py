"""A generation head from a configuration: what a decoder is to say for each task's labels."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mtl.data.batch import Announced
from mtl.data.encoder import Encoder
from mtl.data.kinds import MultiLabel
from mtl.data.kinds.spoken import Spoken
from mtl.data.task import Task
from mtl.data.tokenizer import PretrainedTokenizer
from mtl.errors import MtlError, choices
from mtl.model.cloze.generation import Answers, Generation
from mtl.model.cloze.words import Word, check_kind, label_words, single_word
from mtl.prompts.base import Prompt

NAME = "generation"


def generates(config: Mapping[str, Any]) -> bool:
    """Whether the head of the configuration is this one."""
    return "none" in config["head"]


def spoken(tasks: Mapping[str, Task], config: Mapping[str, Any]) -> dict[str, Task]:
    """The tasks, judged by what is said where the head is this one; MtlError for a kind that can't be."""
    if not generates(config):
        return dict(tasks)
    for task in tasks.values():
        check_kind(task, NAME)
    return {name: replace(task, kind=Spoken(task.kind)) for name, task in tasks.items()}


def spoken_rows(announced: Mapping[str, Announced], tasks: Mapping[str, Task]) -> dict[str, Announced]:
    """The same rows and inputs, of these tasks."""
    return {name: replace(rows, labelled=replace(rows.labelled, task=tasks[name])) for name, rows in announced.items()}


def make_generation(
    config: Mapping[str, Any], tasks: Mapping[str, Task], vocabulary: Encoder, prompt: Prompt
) -> Generation:
    """The answers of each task.

    Args:
        config: of the run.
        tasks: as their authors wrote them.
        vocabulary: the tokenizer that the trunk brought.
        prompt: fitted.

    Raises:
        MtlError: the trunk is no decoder, a task is of another kind, its words can't be told apart or don't fit.
    """
    if not config["trunk"].get("causal") or not isinstance(vocabulary, PretrainedTokenizer):
        raise MtlError("head=generation needs a trunk that goes on after a text: take trunk=hf_decoder")
    given = config["head"]["words"] or {}
    if unknown := [name for name in given if name not in config["tasks"]]:
        raise MtlError(f"head.words should name tasks of the run: {choices(config['tasks'])}. Found '{unknown[0]}'")
    if config["weighting"].get("condition"):
        raise MtlError("head=generation can't be told a preference: take another weighting than cosmos")
    if vocabulary.stop is None:
        raise MtlError(
            f"head=generation needs a tokenizer with a token that ends a text. Found none in {vocabulary.name}"
        )
    answers = {name: _answers(task, given.get(name), vocabulary, prompt, config) for name, task in tasks.items()}
    most = config["data"]["max_length"] + max(of_task.longest for of_task in answers.values())
    if vocabulary.limit is not None and most > vocabulary.limit:
        raise MtlError(
            f"data.max_length and the longest answer should be at most {vocabulary.limit}, the positions of the trunk. "
            f"Found {most}"
        )
    return Generation(answers, vocabulary.stop, len(vocabulary.end), vocabulary.decode)


def _answers(
    task: Task, given: Mapping[str, Any] | None, encoder: PretrainedTokenizer, prompt: Prompt, config: Mapping[str, Any]
) -> Answers:
    words = label_words(task, given, encoder, prompt, True, NAME)
    none = single_word(task, config["head"]["none"], encoder, prompt) if isinstance(task.kind, MultiLabel) else None
    spelled: dict[str, int] = {} if none is None else {encoder.decode(none).strip(): -1}
    for label, of_label in enumerate(words):
        for word in of_label:
            text = encoder.decode(word).strip()
            if spelled.setdefault(text, label) != label:
                raise MtlError(f"head.words.{task.name}: two answers read '{text}'; give each label words of its own")
            if none is not None and "," in text:
                raise MtlError(f"head.words.{task.name}: a word of several should have no comma. Found '{text}'")
    if none is None:
        return Answers(words, spelled)
    text = encoder.decode(none).strip()
    return Answers(words, {w: at for w, at in spelled.items() if at >= 0}, (none, text), _comma(encoder))


def _comma(encoder: PretrainedTokenizer) -> Word:
    return tuple(encoder.encode(",").tolist())
