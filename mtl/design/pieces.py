"""A text as pieces that may become keywords: words, and short runs of Chinese characters, which has no spaces."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtl.data.text import CJK
from mtl.errors import MtlError

RUN = re.compile(f"(?:{CJK.pattern})+|(?:(?!{CJK.pattern})\\w)+")
NOT_A_LETTER = re.compile("[\u3000-\u303f\uff00-\uffef\u2e80-\u2fff]")
LENGTHS = (2, 3)


def pieces(text: str) -> Iterator[str]:
    """Words in small letters without numbers; of Chinese every run of 2 or 3 characters inside punctuation."""
    for found in RUN.findall(text.lower()):
        if not CJK.match(found):
            if not found.isdigit() and len(found) > 1:
                yield found
            continue
        for part in NOT_A_LETTER.split(found):
            for length in LENGTHS:
                yield from (part[start : start + length] for start in range(len(part) - length + 1))


@dataclass(frozen=True)
class Counts:
    """N rows by W pieces.

    Args:
        words: the pieces that stand in enough rows.
        times: how often, N x W, a sparse matrix; for the statistic `lm` log-probabilities, dense.
        targets: the label of each row.
        labels: their names.
    """

    words: np.ndarray
    times: Any
    targets: np.ndarray
    labels: tuple[str, ...]

    @property
    def sizes(self) -> np.ndarray:
        """Rows of each label."""
        return np.bincount(self.targets, minlength=len(self.labels))

    def by_label(self, *, rows: bool) -> np.ndarray:
        """Y x W: rows of the label that have the piece, or how often it stands in them."""
        kept = (self.times > 0).astype(int) if rows else self.times
        return np.stack([np.asarray(kept[self.targets == y].sum(0)).ravel() for y in range(len(self.labels))])

    def only(self, keep: Callable[[str], bool]) -> "Counts":
        """Without the other words; MtlError where none is left."""
        places = [place for place, word in enumerate(self.words.tolist()) if keep(word)]
        if not places:
            raise MtlError(f"the trunk's tokenizer knows none of the {len(self.words)} words of the training rows")
        return Counts(self.words[places], self.times[:, places], self.targets, self.labels)

    def shuffled(self, seed: int) -> "Counts":
        """The same rows with the labels of others."""
        labels_N = np.random.default_rng(seed).permutation(self.targets)
        return Counts(self.words, self.times, labels_N, self.labels)


def count(texts: Sequence[str], labels_N: np.ndarray, labels: Sequence[str], least: int) -> Counts:
    """Count the pieces that stand in `least` rows or more; MtlError where there are none."""
    from sklearn.feature_extraction.text import CountVectorizer

    reader = CountVectorizer(analyzer=lambda text: list(pieces(text)), min_df=least)
    try:
        times_NW = reader.fit_transform(texts)
    except ValueError:
        raise MtlError(
            f"no word stands in {least} of the {len(texts)} training rows; least=1 takes rarer ones"
        ) from None
    return Counts(reader.get_feature_names_out(), times_NW, np.asarray(labels_N), tuple(labels))


def common(texts: Sequence[str], number: int) -> list[str]:
    """The pieces that stand in most texts, the commonest first."""
    return [word for word, _ in Counter(word for text in texts for word in set(pieces(text))).most_common(number)]
