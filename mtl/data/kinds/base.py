"""The question every kind of task answers: from a label to a loss, a metric and an answer."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from torchmetrics import MetricCollection


@dataclass(frozen=True)
class Answer:
    """What a task says of one text: a label (or value, or one tag a token) and how sure it is, where it can tell."""

    value: Any
    probability: float | Sequence[float] | None = None


class Kind(ABC):
    """Everything about a task that follows from the shape of its labels.

    R is the number of rows, C the number of outputs, L the length of the padded rows.
    """

    name: ClassVar[str]
    per_token: ClassVar[bool] = False
    """One output a token (R x L x C) instead of one a row (R x C)."""
    primary: ClassVar[str]
    """The metric a task is judged by unless its author says otherwise."""

    labels: tuple[str, ...] = ()
    """Names of the C outputs; empty for regression."""

    @classmethod
    @abstractmethod
    def fit(cls, values: Iterable[Any], labels: Sequence[str] | None) -> "Kind":
        """The kind for these raw values of the training split; `labels` where the author declared them."""

    @abstractmethod
    def encode(self, value: Any) -> np.ndarray:
        """A raw label as numbers; ValueError says what is wrong with it and what is allowed."""

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """C."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss over the rows (or tokens), a scalar."""

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """Fresh metrics that take (outputs, targets)."""

    @abstractmethod
    def words(self, target: Tensor) -> Any:
        """A target as its author would write it."""

    @abstractmethod
    def answer(self, outputs: Tensor) -> Answer:
        """What the outputs of one row (C, or L x C) say."""
