"""Entity-level F1 over BIO tags as CoNLL counts it (Tjong Kim Sang and De Meulder 2003): only a whole span is right."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score


def is_bio(labels: Sequence[str]) -> bool:
    """Whether all tags are `O`, `B-x` or `I-x`, and one at least begins a span."""
    return all(t == "O" or t[:2] in ("B-", "I-") for t in labels) and any(t[:2] == "B-" for t in labels)


def spans(begins: np.ndarray, kinds: np.ndarray, ends_row: np.ndarray) -> set[tuple[int, int, int]]:
    """(start, end, kind) of each span of a flat run of rows.

    A span starts at `B-x`, and at an `I-x` that follows anything else than a tag of x (the CoNLL script's rule).

    Args:
        begins: N bools, the tag is a `B-`.
        kinds: N span kinds, -1 for `O`.
        ends_row: N bools, the token is the last of its row.

    """
    inside = kinds >= 0
    previous = np.concatenate([[-1], np.where(ends_row[:-1], -1, kinds[:-1])]) if len(kinds) else kinds
    following = np.concatenate([np.where(ends_row[:-1], -1, kinds[1:]), [-1]]) if len(kinds) else kinds
    next_begins = np.concatenate([begins[1:], [False]]) if len(kinds) else begins
    starts = np.flatnonzero(inside & (begins | (previous != kinds)))
    ends = np.flatnonzero(inside & (next_begins | (following != kinds)))
    return set(zip(starts.tolist(), ends.tolist(), kinds[starts].tolist(), strict=True))


class SpanF1(Metric):
    """Micro F1 over spans. Takes outputs (R x L x C) and targets (R x L); targets below 0 are left out."""

    higher_is_better = True
    right: Tensor
    predicted: Tensor
    gold: Tensor

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        names = sorted({label[2:] for label in labels if label != "O"})
        self._begins = np.array([label.startswith("B-") for label in labels])
        self._kinds = np.array([-1 if label == "O" else names.index(label[2:]) for label in labels])
        for count in ("right", "predicted", "gold"):
            self.add_state(count, torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the spans of some rows."""
        kept = target >= 0
        last = kept & (kept.flip(1).cumsum(1).flip(1) == 1)
        ends_row = last[kept].cpu().numpy()
        found, true = (
            spans(self._begins[tags], self._kinds[tags], ends_row)
            for tags in (preds.argmax(-1)[kept].cpu().numpy(), target[kept].cpu().numpy())
        )
        self.right += len(found & true)
        self.predicted += len(found)
        self.gold += len(true)

    def compute(self) -> Tensor:
        """Harmonic mean of precision and recall; 0 where there are no spans."""
        return 2 * self.right / (self.predicted + self.gold).clamp(min=1)


class _Tokens:
    """Outputs R x L x C as rows of tokens, which is what torchmetrics takes."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds.flatten(0, 1), target.flatten())  # ty: ignore[missing-attribute]


class TokenAccuracy(_Tokens, MulticlassAccuracy):
    """Share of tokens with the right tag."""


class TokenF1(_Tokens, MulticlassF1Score):
    """Macro F1 over the tags, for tags that don't mark spans."""
