"""A task whose answers a language model says: what was said is a label, several, or none that there is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassStatScores, MultilabelF1Score

from mtl.data.kinds.base import Answer, Kind
from mtl.data.kinds.classification import Classification

FAILURES = "format_failures"


@dataclass(frozen=True)
class Spoken(Kind):
    """Another kind's labels, as `head=generation` answers them; what is fitted and encoded is that kind's.

    Outputs are R x 1, the negative log-likelihood of each row's right answer; or, where answers were generated, R x C
    (and that column after them): 1 for each label that was said and 0 for the others, -1 for all of them where an
    answer was not in the form of one.

    Args:
        kind: classification or multilabel.
    """

    kind: Kind

    name: ClassVar[str] = "spoken"
    primary: ClassVar[str] = FAILURES

    @classmethod
    def fit(cls, values: Iterable[Any], labels: Sequence[str] | None) -> "Spoken":
        """A classification's."""
        return cls(Classification.fit(values, labels))

    def encode(self, value: Any) -> np.ndarray:
        """The kind's."""
        return self.kind.encode(value)

    @property
    def num_outputs(self) -> int:
        """C."""
        return self.kind.num_outputs

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean over the rows of the last column, nats a token."""
        return outputs[:, -1].mean()

    def metrics(self) -> MetricCollection:
        """`accuracy` and `macro_f1` of a classification, where a failure is wrong and no label's answer; `micro_f1`
        and `macro_f1` of a multilabel task, where it says no label; `format_failures`, the share of such answers.
        """
        C, found = self.num_outputs, dict[str, Metric]()
        if isinstance(self.kind, Classification):
            found |= {"accuracy": _Accuracy(C + 1, average="micro"), "macro_f1": _MacroF1(C + 1, average="none")}
        else:
            found |= {f"{mean}_f1": _F1(C, average=mean) for mean in ("micro", "macro")}
        return MetricCollection({**found, FAILURES: _Failures()}, compute_groups=False)

    def words(self, target: Tensor) -> Any:
        """The kind's."""
        return self.kind.words(target)

    def answer(self, outputs: Tensor) -> Answer:
        """The label or the list of labels; `None` for a failure. Probabilities are not known."""
        said = outputs[: self.num_outputs]
        if said[0] < 0:
            return Answer(None)
        return Answer(self.words(said.argmax() if isinstance(self.kind, Classification) else said))


def _place(outputs: Tensor, classes: int | None) -> Tensor:
    """R x C and more to R: the label that was said; the last of C + 1 classes where it was none."""
    C = (classes or 1) - 1
    said = outputs[:, :C]
    return torch.where(said[:, 0] < 0, C, said.argmax(1))


class _Accuracy(MulticlassAccuracy):
    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(_place(preds, self.num_classes), target)


class _MacroF1(MulticlassStatScores):
    """Over the labels that were right or said: torchmetrics' own mean would count the failures as one more label."""

    higher_is_better = True

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(_place(preds, self.num_classes), target)

    def compute(self) -> Tensor:
        right, more, _, missed, _ = super().compute()[:-1].T
        there = right + more + missed > 0
        return (2 * right / (2 * right + more + missed).clamp(min=1))[there].mean()


class _F1(MultilabelF1Score):
    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds[:, : self.num_labels].clamp(min=0).long(), target.long())


class _Failures(MeanMetric):
    higher_is_better = False

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update((preds[:, 0] < 0).float())
