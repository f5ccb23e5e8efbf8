"""One number a row: squared error on the standardised target, errors reported in the target's own unit."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, MetricCollection, PearsonCorrCoef

from mtl.data.kinds.base import Answer, Kind


def number(value: Any) -> float:
    """The value as a finite number; ValueError says what was found."""
    if not math.isfinite(found := _number(value)):
        raise ValueError(f"the label should be a finite number. Found '{value}'")
    return found


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


@dataclass(frozen=True)
class Regression(Kind):
    """Regression; `mean` and `std` come from the training split and standardise the target."""

    mean: float = 0.0
    std: float = 1.0

    name: ClassVar[str] = "regression"
    primary: ClassVar[str] = "rmse"

    @classmethod
    def fit(cls, values: Iterable[Any], labels: Sequence[str] | None) -> "Regression":
        """Mean and standard deviation of the training split; what is no number is for `encode` to refuse."""
        if labels:
            raise ValueError(f"a regression task has no label names. Found {list(labels)}")
        numbers = [found for value in values if math.isfinite(found := _number(value))]
        return cls(float(np.mean(numbers)), float(np.std(numbers)) or 1.0) if numbers else cls()

    def encode(self, value: Any) -> np.ndarray:
        """The standardised target."""
        return np.asarray((number(value) - self.mean) / self.std, dtype=np.float32)

    @property
    def num_outputs(self) -> int:
        """The predicted value."""
        return 1

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of the standardised target."""
        return F.mse_loss(outputs.squeeze(-1), targets)

    def metrics(self) -> MetricCollection:
        """`rmse` and `mae` in the target's unit, and the `pearson` correlation."""
        parts: dict[str, Metric] = {
            "rmse": MeanSquaredError(squared=False),
            "mae": MeanAbsoluteError(),
            "pearson": PearsonCorrCoef(),
        }
        return MetricCollection(
            {name: _InUnits(metric, self.mean, self.std) for name, metric in parts.items()}, compute_groups=False
        )

    def words(self, target: Tensor) -> float:
        """The value in the target's unit."""
        return float(target) * self.std + self.mean

    def answer(self, outputs: Tensor) -> Answer:
        """The value in the target's unit."""
        return Answer(float(outputs.squeeze(-1)) * self.std + self.mean)


class _InUnits(Metric):
    """A metric of the value in its own unit, fed with standardised ones."""

    def __init__(self, metric: Metric, mean: float, std: float) -> None:
        super().__init__()
        self.metric, self.mean, self.std = metric, mean, std

    @property
    def higher_is_better(self) -> bool:  # ty: ignore[incompatible-property-override]
        # torchmetrics leaves it open for a correlation
        return self.metric.higher_is_better is not False

    def update(self, preds: Tensor, target: Tensor) -> None:
        self.metric.update(preds.squeeze(-1) * self.std + self.mean, target * self.std + self.mean)

    def compute(self) -> Tensor:
        return self.metric.compute()

    def reset(self) -> None:
        super().reset()
        self.metric.reset()
