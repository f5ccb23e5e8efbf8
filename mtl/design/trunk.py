"""What a pretrained trunk knows of each task before training: probes on its features, their rank, their likeness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch

from mtl.data.batch import Announced
from mtl.data.encoder import Encoder
from mtl.data.inputs import Inputs
from mtl.design.analysis import targets, texts
from mtl.design.probes import Probes, probe
from mtl.functional.dynamics import effective_rank
from mtl.functional.similarity import linear_cka
from mtl.model.cache import Reader, Texts
from mtl.prompts.announce import announced
from mtl.prompts.base import Prompt

PROBE_ROWS = 2_000
ALIKE_ROWS = 1_000


@dataclass(frozen=True)
class TrunkFacts:
    """One task on the trunk's features without a prompt.

    Args:
        probes: validation scores of probes on standardised features.
        rank: effective rank of the features of the training rows, centred: from 1 to `width`.
        width: D.
        rows: training and validation rows that were read.
    """

    probes: Probes
    rank: float
    width: int
    rows: tuple[int, int]


@dataclass(frozen=True)
class Alike:
    """How alike the trunk reads the same texts when two tasks announce them: linear CKA, by family of prompts."""

    tasks: tuple[str, str]
    cka: Mapping[str, float]
    rows: int


class Features:
    """Pooled features of encoded texts; each distinct one is read once.

    Args:
        reader: of the trunk, for texts as a whole.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._known: dict[bytes, np.ndarray] = {}

    def __call__(self, inputs: Inputs, rows_N: np.ndarray) -> np.ndarray:
        """N x D (float32) of these rows of the inputs."""
        ids = [inputs.ids[inputs.starts[row] : inputs.starts[row + 1]].astype(np.int32) for row in rows_N]
        new = Texts(row for row in ids if row.tobytes() not in self._known)
        begin = 0
        for batch in new.batches():
            found = self.reader.read(*batch)
            self._known |= zip(new.keys[begin : begin + len(found)], found, strict=True)
            begin += len(found)
        return np.stack([self._known[row.tobytes()] for row in ids])


def describe(features: Features, task: Announced, seed: int = 0) -> TrunkFacts:
    """The facts of one task, announced in any way; the test split is not read."""
    from sklearn.preprocessing import StandardScaler

    kept = {}
    for split in ("train", "val"):
        rows = task.labelled.rows[split]
        order = np.random.default_rng(seed).permutation(len(rows))[:PROBE_ROWS]
        kept[split] = features(task.inputs, rows[order]), targets(task.labelled, split)[order]
    (train_ND, train_N), (val_ND, val_N) = kept["train"], kept["val"]
    scale = StandardScaler().fit(train_ND)
    probes = probe(scale.transform(train_ND), train_N, scale.transform(val_ND), val_N)
    return TrunkFacts(probes, rank(train_ND), train_ND.shape[1], (len(train_N), len(val_N)))


def rank(features_ND: np.ndarray) -> float:
    """Effective rank of centred features, of the eigenvalues of their covariance (see `functional.dynamics`)."""
    centred = torch.from_numpy(features_ND - features_ND.mean(0)).double()
    return effective_rank(centred.T @ centred)


@dataclass(frozen=True, eq=False)
class Asked:
    """What is read to tell how alike tasks are: their training texts, as each prompt announces them.

    Args:
        features: of the trunk.
        tasks: rows of each.
        prompts: fitted text prompts, by family.
        encoder: text to ids.
        max_length: of an input.
        seed: of the draw of texts.
    """

    features: Features
    tasks: Mapping[str, Announced]
    prompts: Mapping[str, Prompt]
    encoder: Encoder
    max_length: int
    seed: int = 0

    def read(self, family: str, name: str, said: Sequence[str]) -> np.ndarray:
        """N x D of these texts, announced for the task."""
        task = self.tasks[name].labelled.task
        inputs = announced(self.prompts[family], task, said, None, self.encoder, self.max_length)
        return self.features(inputs, np.arange(len(said)))

    def draw(self, name: str) -> list[str]:
        """Training texts of the task."""
        found = texts(self.tasks[name].labelled, "train")
        order = np.random.default_rng(self.seed).permutation(len(found))
        return [found[place] for place in order[: ALIKE_ROWS // 2]]


def alike(asked: Asked) -> list[Alike]:
    """Every two tasks: linear CKA of the same training texts, of both tasks in halves, announced for either one.

    Without a prompt it would be 1, since the trunk is told nothing of the task. 1 with one says that the words make no
    difference to the trunk but for a rotation and a factor.
    """
    return [_pair(asked, pair) for pair in combinations(asked.tasks, 2)]


def _pair(asked: Asked, pair: tuple[str, str]) -> Alike:
    said = list(dict.fromkeys(text for name in pair for text in asked.draw(name)))
    cka = {family: linear_cka(*(asked.read(family, name, said) for name in pair)) for family in asked.prompts}
    return Alike(pair, cka, len(said))
