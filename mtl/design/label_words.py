"""Label words by a language model: which words it would rather say after a label's texts than after the others'.

The score is the likelihood ratio of Schick, Schmid and Schütze (2020), labels balanced: mean of log p(w | x) over the
label's rows less that over all others. Theirs is a sum over the label's rows, which ranks alike.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mtl.data.inputs import Inputs
from mtl.data.task import SLOT, LabelledRows, Task
from mtl.data.text import CJK
from mtl.data.tokenizer import MASK, PretrainedTokenizer
from mtl.design.analysis import targets, texts
from mtl.design.pieces import Counts
from mtl.errors import MtlError
from mtl.model.base import Trunk
from mtl.model.cloze.words import between, context_of
from mtl.prompts.phrase import Phrase

ROWS = 1_000
CANDIDATES = 1_000
"""Of the vocabulary, those that are likeliest over all labels, as theirs; others are likely after hardly any text."""
BATCH = 16


def phrase_of(task: Task, causal: bool) -> str:
    """The task's own phrase where a word can be asked for in it, else the text and a mask, or the text alone."""
    if task.phrase and task.phrase.count(MASK) == (0 if causal else 1):
        return task.phrase
    return SLOT if causal else f"{SLOT} {MASK}"


def likelihoods(trunk: Trunk, encoder: PretrainedTokenizer, rows: LabelledRows, max_length: int) -> Counts:
    """Log-probabilities of words of one token after at most 1,000 training rows; a word has letters only.

    Args:
        trunk: with its language model.
        encoder: its tokenizer.
        rows: of the task; only the training split is read.
        max_length: of an input.

    Raises:
        MtlError: the tokenizer has no mask, or no word of one token.
    """
    task, found = rows.task, texts(rows, "train")
    if not trunk.causal and encoder.mask is None:
        raise MtlError("the tokenizer has no mask")
    prompt = Phrase({task.name: phrase_of(task, trunk.causal)})
    order = np.random.default_rng(0).permutation(len(found))[:ROWS]
    kept, labels_N = [found[place] for place in order], targets(rows, "train")[order]
    inputs = Inputs.build(kept, None, lambda text: prompt.render(task, text), encoder, max_length)
    features_ND = asked(trunk, encoder, inputs)
    context = context_of(task, prompt, encoder, trunk.causal)
    mean_YV = np.stack([_mean(trunk, features_ND[labels_N == y]) for y in np.unique(labels_N)])
    words: dict[str, int] = {}
    for token in np.argsort(-mean_YV.mean(0), kind="stable").tolist():
        word = encoder.decode([token]).strip() if token < len(encoder) else ""
        if _says_something(word) and encoder.encode(between(context, word, trunk.causal) + word).tolist() == [token]:
            words[word] = token
        if len(words) == CANDIDATES:
            break
    if not words:
        raise MtlError("the tokenizer has no word of one token")
    said_NW = np.concatenate([part[:, list(words.values())] for part in _log_p(trunk, features_ND)])
    return Counts(np.array(list(words)), said_NW, labels_N, tuple(task.kind.labels))


@torch.no_grad()
def asked(trunk: Trunk, encoder: PretrainedTokenizer, inputs: Inputs) -> Tensor:
    """Features of the place that the word is read from, N x D: the mask, or the last place of a causal model."""
    device, found = next(trunk.parameters()).device, []
    order = np.argsort(-inputs.lengths, kind="stable")
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        ids = torch.from_numpy(inputs.pad(rows, int(inputs.lengths[rows].max()))).to(device)
        lengths = torch.from_numpy(inputs.lengths[rows]).to(device)
        at = lengths - len(encoder.end) - 1 if trunk.causal else ids.eq(encoder.mask or 0).byte().argmax(1)
        found.append(trunk(ids, lengths)[torch.arange(len(rows), device=device), at])
    return torch.cat(found)[torch.from_numpy(np.argsort(order))]


@torch.no_grad()
def _log_p(trunk: Trunk, features_ND: Tensor) -> Iterator[np.ndarray]:
    """Log-probabilities of the vocabulary, a few rows at a time: all at once may not fit."""
    return (trunk.answer(part).log_softmax(-1).double().cpu().numpy() for part in features_ND.split(BATCH))


def _mean(trunk: Trunk, features_ND: Tensor) -> np.ndarray:
    total: np.ndarray | float = sum(part.sum(0) for part in _log_p(trunk, features_ND))
    return np.asarray(total) / len(features_ND)


def _says_something(word: str) -> bool:
    return word.isalpha() and (len(word) > 1 or CJK.search(word) is not None)
