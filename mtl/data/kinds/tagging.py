"""One of C tags a token: cross-entropy over the tokens, entity-level F1 where tags are B-/I-/O, else accuracy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MetricCollection

from mtl.data.kinds.base import Answer, Kind
from mtl.data.kinds.labels import declared_or_found, position
from mtl.data.kinds.spans import SpanF1, TokenAccuracy, TokenF1, is_bio

IGNORED = -100
"""Target of a position that has no tag: padding, the prompt, the later pieces of a token."""


@dataclass(frozen=True)
class Tagging(Kind):
    """Sequence labelling. The raw value of a row is its list of tags, one a token."""

    labels: tuple[str, ...]

    name: ClassVar[str] = "tagging"
    per_token: ClassVar[bool] = True
    primary: ClassVar[str] = "f1"

    @classmethod
    def fit(cls, values: Iterable[Any], labels: Sequence[str] | None) -> "Tagging":
        """The declared tags, or those of the training split in sorted order."""
        whole = (tags for tags in values if isinstance(tags, list | tuple))
        return cls(declared_or_found((str(tag) for tags in whole for tag in tags), labels))

    def encode(self, value: Any) -> np.ndarray:
        """The position of each tag."""
        if not isinstance(value, list | tuple):
            raise ValueError(f"the label should be a list of tags. Found '{value}'")
        return np.array([position(self.labels, tag) for tag in value], dtype=np.int64)

    @property
    def num_outputs(self) -> int:
        """One logit a tag."""
        return len(self.labels)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats, mean over the tokens that have a tag."""
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)

    def metrics(self) -> MetricCollection:
        """`f1` of whole spans (BIO tags; of tokens, macro, where tags are not BIO) and token `accuracy`."""
        C = len(self.labels)
        return MetricCollection(
            {
                "f1": SpanF1(self.labels) if is_bio(self.labels) else TokenF1(C, ignore_index=IGNORED),
                "accuracy": TokenAccuracy(C, average="micro", ignore_index=IGNORED),
            },
            compute_groups=False,
        )

    def words(self, target: Tensor) -> list[str]:
        """The tags."""
        return [self.labels[i] for i in target.tolist()]

    def answer(self, outputs: Tensor) -> Answer:
        """The most probable tag of each token."""
        probabilities, indices = outputs.softmax(-1).max(-1)
        return Answer([self.labels[i] for i in indices.tolist()], probabilities.tolist())
