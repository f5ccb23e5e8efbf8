"""A cloze head from a configuration: its words, and what texts without content get."""

from collections.abc import Mapping
from typing import Any

import torch

from mtl.data.batch import Batch
from mtl.data.encoder import Encoder
from mtl.data.task import Task
from mtl.data.tokenizer import PretrainedTokenizer
from mtl.errors import MtlError, choices
from mtl.model.cloze.cloze import CONTENT_FREE, Cloze, ClozeHead
from mtl.model.cloze.words import label_words, longest
from mtl.model.multitask import MultiTaskModel
from mtl.prompts.announce import announced
from mtl.prompts.base import Prompt


def make_cloze(config: Mapping[str, Any], tasks: Mapping[str, Task], vocabulary: Encoder, prompt: Prompt) -> Cloze:
    """The label words of each task; MtlError where they can't be told apart or don't fit the trunk."""
    given, causal = config["head"]["words"] or {}, bool(config["trunk"].get("causal"))
    if unknown := [name for name in given if name not in config["tasks"]]:
        raise MtlError(f"head.words should name tasks of the run: {choices(config['tasks'])}. Found '{unknown[0]}'")
    words = {name: label_words(task, given.get(name), vocabulary, prompt, causal) for name, task in tasks.items()}
    # the places of a prompt are among data.max_length: texts are cut to what it leaves
    most = config["data"]["max_length"] + max(longest(of_task) for of_task in words.values()) - 1
    if vocabulary.limit is not None and most > vocabulary.limit:
        raise MtlError(
            f"data.max_length and the longest label word should be at most {vocabulary.limit}, the positions of the "
            f"trunk. Found {most}"
        )
    assert isinstance(vocabulary, PretrainedTokenizer)
    return Cloze(words, None if causal else vocabulary.mask, len(vocabulary.end))


@torch.no_grad()
def calibrate(
    model: MultiTaskModel, tasks: Mapping[str, Task], vocabulary: Encoder, prompt: Prompt, max_length: int
) -> None:
    """Tell each cloze head what texts without content get, announced and cut as all texts are."""
    model.eval()
    for name, task in tasks.items():
        scores = model(Batch.of(announced(prompt, task, CONTENT_FREE, None, vocabulary, max_length), name))[name]
        head = model.heads[name]
        assert isinstance(head, ClozeHead)
        head.calibrate(scores)
    model.train()
