"""Any number of C labels for a row: binary cross-entropy a label, micro and macro F1."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MultilabelF1Score, MultilabelRankingAveragePrecision

from mtl.data.kinds.base import Answer, Kind
from mtl.data.kinds.labels import declared_or_found, position

SEPARATOR = "|"


def names(value: Any) -> list[str]:
    """The labels of a raw value: a list, or names joined by `|`; empty means none of them."""
    if value is None:
        return []
    return [part.strip() for part in (value.split(SEPARATOR) if isinstance(value, str) else map(str, value)) if part]


@dataclass(frozen=True)
class MultiLabel(Kind):
    """Multi-label classification; a row may have no label at all."""

    labels: tuple[str, ...]

    name: ClassVar[str] = "multilabel"
    primary: ClassVar[str] = "micro_f1"

    @classmethod
    def fit(cls, values: Iterable[Any], labels: Sequence[str] | None) -> "MultiLabel":
        """The declared labels, or those of the training split in sorted order."""
        return cls(declared_or_found((name for value in values for name in names(value)), labels))

    def encode(self, value: Any) -> np.ndarray:
        """C zeros and ones."""
        target = np.zeros(len(self.labels), dtype=np.float32)
        target[[position(self.labels, name) for name in names(value)]] = 1
        return target

    @property
    def num_outputs(self) -> int:
        """One logit a label."""
        return len(self.labels)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy in nats, mean over rows and labels."""
        return F.binary_cross_entropy_with_logits(outputs, targets)

    def metrics(self) -> MetricCollection:
        """F1 at a threshold of 0.5, micro and macro, and the ranking average precision."""
        C = len(self.labels)
        return MetricCollection(
            {
                "micro_f1": _Thresholded(C, average="micro"),
                "macro_f1": _Thresholded(C, average="macro"),
                "ranking_precision": _Ranking(C),
            },
            compute_groups=False,
        )

    def words(self, target: Tensor) -> list[str]:
        """The names of the row's labels."""
        return [name for name, there in zip(self.labels, target.tolist(), strict=True) if there]

    def answer(self, outputs: Tensor) -> Answer:
        """The labels whose probability is over one half, with the probability of each."""
        probabilities = outputs.sigmoid().tolist()
        chosen = [(name, p) for name, p in zip(self.labels, probabilities, strict=True) if p > 0.5]
        return Answer([name for name, _ in chosen], [p for _, p in chosen])


class _Thresholded(MultilabelF1Score):
    """torchmetrics takes logits as such only where one lies outside [0, 1]; a sigmoid here leaves no doubt."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds.sigmoid(), target.long())


class _Ranking(MultilabelRankingAveragePrecision):
    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds.sigmoid(), target.long())
