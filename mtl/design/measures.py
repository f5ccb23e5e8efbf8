"""The numeric features of a text: which of them differ between the labels of a task, on the training split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtl.functional.holm import holm
from mtl.prompts.feature import MEASURES

ROWS = 4_000
LEVEL, LEAST = 0.05, 0.01


@dataclass(frozen=True)
class Effect:
    """How far a measure differs between labels: eta squared of Kruskal and Wallis, and p by Holm over measures."""

    eta2: float
    p: float

    @property
    def told(self) -> bool:
        """At 5 %, and at least what is called a small effect: among thousands of rows anything is significant."""
        return self.p <= LEVEL and self.eta2 >= LEAST


def effects(texts: Sequence[str], labels_N: np.ndarray, seed: int = 0) -> dict[str, Effect]:
    """Each measure of `prompt=feature`, on at most 4,000 rows.

    eta^2 = (H - Y + 1) / (N - Y) for Y labels, at least 0 (Tomczak and Tomczak 2014).

    Args:
        texts: of the training split.
        labels_N: their labels, from 0.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(texts))[:ROWS]
    kept, said_N = [texts[place] for place in order], labels_N[order]
    found = {
        name: _kruskal(np.array([measure(text) for text in kept], float), said_N) for name, measure in MEASURES.items()
    }
    adjusted = holm([p for _, p in found.values()])
    return {name: Effect(eta2, p) for (name, (eta2, _)), p in zip(found.items(), adjusted, strict=True)}


def _kruskal(values_N: np.ndarray, labels_N: np.ndarray) -> tuple[float, float]:
    from scipy.stats import kruskal

    groups = [values_N[labels_N == y] for y in np.unique(labels_N)]
    if len(groups) < 2 or np.ptp(values_N) == 0 or len(values_N) <= len(groups):
        return 0.0, 1.0
    H, p = kruskal(*groups)
    return max(0.0, float((H - len(groups) + 1) / (len(values_N) - len(groups)))), float(p)


def told(found: Mapping[str, Mapping[str, Effect]]) -> list[str]:
    """The measures that differ between the labels of some task."""
    return [name for name in MEASURES if any(by_measure[name].told for by_measure in found.values())]
