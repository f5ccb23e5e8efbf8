"""Keywords of each label, by any of five statistics of the training rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtl.data.text import CJK
from mtl.design.pieces import Counts
from mtl.functional.association import chi2, log_odds, pmi


def _gap(values_NW: Any, counts: Counts) -> np.ndarray:
    """Mean in the label's rows less that in all others, Y x W."""
    gaps = []
    for y in range(len(counts.labels)):
        ours, others = counts.targets == y, counts.targets != y
        means = [np.asarray(values_NW[part].mean(0)).ravel() if part.any() else 0.0 for part in (ours, others)]
        gaps.append(means[0] - means[1])
    return np.stack(gaps)


def _tfidf(counts: Counts) -> np.ndarray:
    """Gap of TF-IDF (scikit-learn's, rows of length 1)."""
    from sklearn.feature_extraction.text import TfidfTransformer

    return _gap(TfidfTransformer().fit_transform(counts.times), counts)


STATISTICS: dict[str, Callable[[Counts], np.ndarray]] = {
    "chi2": lambda counts: chi2(counts.by_label(rows=True), counts.sizes),
    "pmi": lambda counts: pmi(counts.by_label(rows=True), counts.sizes),
    "log_odds": lambda counts: log_odds(counts.by_label(rows=False)),
    "tfidf": _tfidf,
    "lm": lambda counts: _gap(counts.times, counts),
}
"""Y x W scores of each word for each label; more is closer to the label. `lm` takes what `label_words` counts."""


@dataclass(frozen=True)
class Keyword:
    """A word, the label that it speaks for, and how strongly by the statistic."""

    word: str
    label: str
    score: float


def keywords(counts: Counts, statistic: str, number: int) -> list[Keyword]:
    """The `number` best words of each label, label by label, the best words of all labels first.

    Of Chinese runs that hold one another, or overlap in all but one character, only the better is taken: they would
    all be cut from one phrase. A word speaks for one label only, that of its highest score.
    """
    scores_YW = STATISTICS[statistic](counts)
    best_W = scores_YW.argmax(0)
    found: list[list[Keyword]] = []
    taken: list[str] = []
    for y, label in enumerate(counts.labels):
        mine: list[Keyword] = []
        for w in np.argsort(-scores_YW[y], kind="stable"):
            word = str(counts.words[w])
            if len(mine) == number or not scores_YW[y, w] > 0:
                break
            if best_W[w] == y and not any(_alike(word, other) for other in taken):
                mine.append(Keyword(word, label, float(scores_YW[y, w])))
                taken.append(word)
        found.append(mine)
    return [mine[place] for place in range(number) for mine in found if place < len(mine)]


def _alike(one: str, other: str) -> bool:
    """Whether two runs of characters may be cut from one phrase: 质量 and 质量好, 的时候 and 时候来, 量很 and 很好."""
    if not (CJK.search(one) and CJK.search(other)):
        return False
    kept = min(len(one), len(other)) - 1
    return one in other or other in one or one[-kept:] == other[:kept] or other[-kept:] == one[:kept]
