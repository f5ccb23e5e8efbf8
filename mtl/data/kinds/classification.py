"""One of C labels for a row: cross-entropy, accuracy and macro F1."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from mtl.data.kinds.base import Answer, Kind
from mtl.data.kinds.labels import declared_or_found, position


@dataclass(frozen=True)
class Classification(Kind):
    """Single-label classification; needs two labels or more."""

    labels: tuple[str, ...]

    name: ClassVar[str] = "classification"
    primary: ClassVar[str] = "accuracy"

    @classmethod
    def fit(cls, values: Iterable[Any], labels: Sequence[str] | None) -> "Classification":
        """The declared labels, or those of the training split in sorted order."""
        return cls(declared_or_found((str(v) for v in values), labels))

    def encode(self, value: Any) -> np.ndarray:
        """The position of the label."""
        return np.asarray(position(self.labels, value), dtype=np.int64)

    @property
    def num_outputs(self) -> int:
        """One logit a label."""
        return len(self.labels)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats, mean over the rows."""
        return F.cross_entropy(outputs, targets)

    def metrics(self) -> MetricCollection:
        """`accuracy` over all rows, `macro_f1` over the labels."""
        C = len(self.labels)
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(C, average="micro"),
                "macro_f1": MulticlassF1Score(C, average="macro"),
            },
            compute_groups=False,
        )

    def words(self, target: Tensor) -> str:
        """The label's name."""
        return self.labels[int(target)]

    def answer(self, outputs: Tensor) -> Answer:
        """The most probable label."""
        probability, index = outputs.softmax(-1).max(-1)
        return Answer(self.labels[int(index)], float(probability))
