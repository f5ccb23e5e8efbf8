"""Numbers of a text, fitted on a task's training texts, with mean 0 and deviation 1 there: phi of a feature vector."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mtl.data.vocabulary import pieces
from mtl.prompts.feature import MEASURES


class Numbers(ABC):
    """Texts -> N x F. What is fitted is kept by task: plain data and tensors, for a checkpoint."""

    size: int
    """F."""

    def __init__(self) -> None:
        self.fitted: dict[str, dict[str, Any]] = {}

    def fit(self, task: str, texts: Sequence[str]) -> None:
        """Fit on a task's training texts."""
        self.fitted[task] = self._fit(texts)
        raw = self._raw(self.fitted[task], texts)
        scale = raw.std(0)
        self.fitted[task] |= {
            "mean": torch.from_numpy(raw.mean(0)),
            "scale": torch.from_numpy(np.where(scale > 1e-6, scale, 1.0)),
        }

    def __call__(self, task: str, texts: Sequence[str]) -> np.ndarray:
        """N x F (float32)."""
        fitted = self.fitted[task]
        found = (self._raw(fitted, texts) - fitted["mean"].numpy()) / fitted["scale"].numpy()
        return found.astype(np.float32)

    def _fit(self, texts: Sequence[str]) -> dict[str, Any]:
        return {}

    @abstractmethod
    def _raw(self, fitted: Mapping[str, Any], texts: Sequence[str]) -> np.ndarray:
        """N x F (float64), before they are centred and scaled."""


class Measures(Numbers):
    """The measures of `prompt=feature`: length, shares of punctuation and digits, exclamation marks, repetition."""

    size = len(MEASURES)

    def _raw(self, fitted: Mapping[str, Any], texts: Sequence[str]) -> np.ndarray:
        return np.array([[measure(text) for measure in MEASURES.values()] for text in texts], np.float64)


class Tfidf(Numbers):
    """TF-IDF of a text's words (a Chinese character is a word) on the leading singular vectors of the training texts.

    Counts times log((1 + N) / (1 + n)) + 1, rows of length 1, as scikit-learn has it by default (Deerwester et al. 1990
    for the projection). Directions that the training texts don't have are 0.

    Args:
        size: F.
        most: the commonest words that count.
    """

    def __init__(self, size: int = 32, most: int = 5000) -> None:
        super().__init__()
        self.size, self.most = size, most

    def _fit(self, texts: Sequence[str]) -> dict[str, Any]:
        from scipy.sparse.linalg import svds

        found = Counter(piece for text in texts for piece in set(pieces(text, "words")))
        words = sorted(found, key=lambda word: (-found[word], word))[: self.most]
        idf = np.log((1 + len(texts)) / (1 + np.array([found[word] for word in words], np.float64))) + 1
        fitted = {"words": words, "idf": torch.from_numpy(idf)}
        matrix = self._matrix(fitted, texts)
        rank = min(self.size, min(matrix.shape) - 1)
        axes = np.zeros((len(words), self.size))
        if rank > 0:
            values, rows = svds(matrix, rank, v0=np.ones(min(matrix.shape)), return_singular_vectors="vh")[1:]
            axes[:, :rank] = rows[np.argsort(-values)].T
        return fitted | {"axes": torch.from_numpy(axes)}

    def _raw(self, fitted: Mapping[str, Any], texts: Sequence[str]) -> np.ndarray:
        return self._matrix(fitted, texts) @ fitted["axes"].numpy()

    def _matrix(self, fitted: Mapping[str, Any], texts: Sequence[str]) -> Any:
        from scipy.sparse import csr_array

        index = {word: place for place, word in enumerate(fitted["words"])}
        rows = [
            Counter(place for word in pieces(text, "words") if (place := index.get(word)) is not None) for text in texts
        ]
        starts = np.cumsum([0, *map(len, rows)])
        places = np.array([place for row in rows for place in row], np.int64)
        counts = np.array([count for row in rows for count in row.values()], np.float64) * fitted["idf"].numpy()[places]
        lengths = np.sqrt(np.add.reduceat(np.append(counts**2, 0.0), starts[:-1])) if len(rows) else np.zeros(0)
        lengths = np.where(np.diff(starts) > 0, lengths, 1.0)
        return csr_array((counts / np.repeat(lengths, np.diff(starts)), places, starts), (len(texts), len(index)))
