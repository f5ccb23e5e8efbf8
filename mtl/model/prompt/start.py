"""What the vectors of a prompt start from."""

import contextlib
import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mtl.data.encoder import Encoder
from mtl.data.inputs import PLACE
from mtl.data.task import SLOT, Task
from mtl.errors import MtlError
from mtl.model.base import Trunk

Init = str | Sequence[str]
INITS = ("random", "vocabulary", "labels", "keywords", "phrase")
COMMONEST = 5000
"""Lester et al. (2021) sample from the 5000 commonest tokens; our vocabularies have the commonest first."""


@dataclass(frozen=True, eq=False)
class Start:
    """One row of a table at its making.

    `random` vectors are normal at the scale of the trunk's embeddings: peft's standard normals are many times as long
    as those of a language model. `vocabulary` takes the embeddings of tokens drawn from the commonest; `labels`,
    `keywords`, `phrase` or a list of words those of words, said again and again, or cut, to the prompt's length.
    A word of a list that is not in the vocabulary is refused.

    Args:
        trunk: whose embeddings are meant.
        tasks: of the row.
        vocabulary: text to ids.
        seed: of the run.
        row: its name; beside the seed it makes the random state.
    """

    trunk: Trunk
    tasks: Sequence[Task]
    vocabulary: Encoder
    seed: int
    row: str

    @contextlib.contextmanager
    def random(self) -> Generator[None, None, None]:
        """Torch's random state is the row's own here, and outside as it was."""
        with own_random(self.seed, self.row):
            yield

    @torch.no_grad()
    def vectors(self, init: Init, length: int) -> Tensor:
        """P x E."""
        if init != "random":
            return self.trunk.embed(self.ids(init, length)[None])[0].clone()
        known = self.trunk.embed(torch.arange(2, len(self.vocabulary), device=self._device)[None])[0]
        return torch.randn(length, known.shape[1], device=self._device) * known.square().mean().sqrt()

    def ids(self, init: Init, length: int) -> Tensor:
        """P ids of tokens."""
        if init == "vocabulary":
            last = min(COMMONEST + 2, len(self.vocabulary))
            return torch.randint(2, last, (length,)).to(self._device)
        found = [number for text in self._texts(init) for number in self.vocabulary.encode(text).tolist()]
        return torch.tensor((found * length)[:length], device=self._device)

    def _texts(self, init: Init) -> list[str]:
        names = " and ".join(task.name for task in self.tasks)
        words = [word for task in self.tasks for word in words_of(init, task)] if isinstance(init, str) else list(init)
        if not words:
            raise MtlError(f"prompt: init={init} needs {init} of task {names}. Found none")
        for word in words:
            ids = self.vocabulary.encode(word).tolist()
            if not ids or self.vocabulary.unknown in ids:
                raise MtlError(f"prompt: init for task {names} should be of words in the vocabulary. Found '{word}'")
        return words

    @property
    def _device(self) -> torch.device:
        return next(self.trunk.parameters()).device


def words_of(init: Init, task: Task) -> list[str]:
    """The task's own words that `init` asks for: they belong to the vocabulary, as those of text prompts do."""
    if not isinstance(init, str):
        return []
    found = {
        "labels": getattr(task.kind, "labels", ()),
        "keywords": task.keywords,
        "phrase": task.phrase.replace(PLACE, SLOT).split(SLOT),
    }
    return [word for word in found.get(init, ()) if word]


@contextlib.contextmanager
def own_random(seed: int, *names: str) -> Generator[None, None, None]:
    """Torch's random state is a function of the seed and these names, and afterwards what it was before."""
    digest = hashlib.blake2b(repr((seed, *names)).encode(), digest_size=7).digest()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int.from_bytes(digest))
        yield
