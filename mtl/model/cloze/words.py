"""Label words: what a language model has to say for a task's labels, as ids, checked when the model is built."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtl.data.encoder import Encoder
from mtl.data.inputs import PLACE, close_up
from mtl.data.kinds import Classification, MultiLabel
from mtl.data.task import Task
from mtl.data.text import CJK
from mtl.data.tokenizer import MASK, PretrainedTokenizer
from mtl.errors import MtlError
from mtl.prompts.base import Prompt

Word = tuple[int, ...]


def label_words(
    task: Task, given: Mapping[str, Any] | None, encoder: Encoder, prompt: Prompt, causal: bool, head: str = "cloze"
) -> list[list[Word]]:
    """For each label of the task the ids of each of its words, as they would stand in the text.

    Args:
        task: of labels.
        given: label to a word or a list of words; `None`: the labels' names.
        encoder: the trunk's own tokenizer.
        prompt: fitted; with a masked language model it has to say where the mask stands.
        causal: whether a word follows the announced text, or stands at the mask.
        head: which asks: `cloze`, or `generation`, which can say several labels.

    Raises:
        MtlError: the task has no labels, a word is empty or unknown to the tokenizer, two labels have the same word,
            or the prompt has no mask.
    """
    check_kind(task, head)
    if not isinstance(encoder, PretrainedTokenizer):
        raise MtlError(f"head={head} needs a trunk with a language model: take trunk=hf_decoder or trunk=hf_encoder")
    context = context_of(task, prompt, encoder, causal)
    labels = task.kind.labels
    if given is not None and set(map(str, given)) != set(labels):
        raise MtlError(f"head.words.{task.name} should name the labels {list(labels)}. Found {[*map(str, given)]}")
    chosen = {str(label): words for label, words in given.items()} if given is not None else {la: la for la in labels}
    owner: dict[Word, str] = {}
    found: list[list[Word]] = []
    for label in labels:
        words = [chosen[label]] if isinstance(chosen[label], str) else list(chosen[label] or [])
        if not words:
            raise MtlError(f"head.words.{task.name}: label {label} should have a word. Found none")
        found.append([_ids(task, label, word, context, encoder, causal) for word in words])
        for word, ids in zip(words, found[-1], strict=True):
            if ids in owner:
                raise MtlError(
                    f"head.words.{task.name}: '{word}' of label {label} reads like a word of label {owner[ids]} "
                    "to the tokenizer; give each label words of its own"
                )
            owner[ids] = label
    return found


def check_kind(task: Task, head: str) -> None:
    """MtlError where the head can't answer tasks of this kind in words."""
    kinds = (Classification,) if head == "cloze" else (Classification, MultiLabel)
    if not isinstance(task.kind, kinds):
        allowed = " and ".join(kind.name for kind in kinds)
        raise MtlError(f"head={head} answers {allowed} tasks. Task {task.name} is {task.kind.name}")


def single_word(task: Task, word: Any, encoder: PretrainedTokenizer, prompt: Prompt) -> Word:
    """The ids of a word that a decoder says where a task has no label; MtlError as of `label_words`."""
    return _ids(task, "none", word, context_of(task, prompt, encoder, True), encoder, True)


def context_of(task: Task, prompt: Prompt, encoder: PretrainedTokenizer, causal: bool) -> str:
    """What stands right before the word; MtlError where the prompt has no place for it."""
    before, after = (part.replace(PLACE, "") for part in close_up(*prompt.render(task, "N/A")))
    if causal:
        if MASK in before + after:
            raise MtlError(f"task {task.name}: a decoder answers after its prompt: take {MASK} out. Found '{after}'")
        return after
    ids = [*encoder.encode_prompt(before).tolist(), *encoder.encode_prompt(after).tolist()]
    if encoder.mask is None or ids.count(encoder.mask) != 1:
        raise MtlError(
            f"task {task.name}: head=cloze needs a prompt that says once where the word stands: "
            f"prompt=phrase and a phrase such as '{{text}} It was {MASK}.'. Found '{before}…{after}'"
        )
    said = before + after
    named = MASK if MASK in said else str(encoder.mask_text)
    return said[: said.index(named)]


def _ids(task: Task, label: str, word: Any, context: str, encoder: PretrainedTokenizer, causal: bool) -> Word:
    if not isinstance(word, str) or not word.strip():
        raise MtlError(f"head.words.{task.name}: label {label} has an empty word. Found {word!r}")
    ids = encoder.encode(between(context, word, causal) + word)
    if encoder.unknown is not None and encoder.unknown in ids:
        raise MtlError(f"head.words.{task.name}: the tokenizer doesn't know '{word}' of label {label}")
    return tuple(ids.tolist())


def between(context: str, word: str, causal: bool) -> str:
    """A space where a space would stand before the word in the text: not beside CJK, and not where there is one.

    A mask is written into a text with the space before it, so that the word at its place keeps its own.
    """
    if CJK.match(word) or CJK.match(context[-1:]):
        return ""
    return "" if causal and context[-1:].isspace() else " "


def longest(words: Sequence[Sequence[Word]]) -> int:
    """Ids of the longest word."""
    return max(len(word) for words_of in words for word in words_of)
