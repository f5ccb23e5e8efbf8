"""Losses and scores of a split: of each task, and of a conditioned model under several preferences."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection

from mtl.data.batch import Batch
from mtl.data.kinds.tagging import IGNORED
from mtl.data.task import Task
from mtl.model.conditioned import named, rays
from mtl.model.multitask import MultiTaskModel


class Evaluation:
    """What validation and test measure, from `begin` over the batches to `end`.

    Args:
        model: trunk and heads.
        tasks: the tasks of the run, in its order.
    """

    def __init__(self, model: MultiTaskModel, tasks: Mapping[str, Task]) -> None:
        self._model, self._tasks = model, tasks
        self._scores: dict[str, dict[str, MetricCollection]] = {}
        self._losses: dict[str, dict[str, MeanMetric]] = {}
        self._along: dict[tuple[float, ...], dict[str, MeanMetric]] = {}
        """Losses of a conditioned model by the preference that it is told."""

    def begin(self, split: str, device: torch.device) -> None:
        """Fresh metrics."""
        if self._model.condition is not None:
            along = rays(len(self._tasks))
            self._along = {ray: {name: MeanMetric().to(device) for name in self._tasks} for ray in along}
        self._scores[split] = {name: task.kind.metrics().to(device) for name, task in self._tasks.items()}
        self._losses[split] = {name: MeanMetric().to(device) for name in self._tasks}

    def take(self, batch: Batch, split: str) -> dict[str, Tensor]:
        """Feed the metrics; the outputs of each task, under an equal preference where the model hears one."""
        model = self._model
        if model.condition is not None:
            for ray, losses in self._along.items():
                model.condition.tell(torch.tensor(ray))
                self._take_losses(batch, model(batch), losses)
            model.condition.tell(None)
        outputs = model.evaluated(batch)
        self._take_losses(batch, outputs, self._losses[split])
        for name, rows in batch.tasks.items():
            self._scores[split][name].update(outputs[name], rows.targets)
        return outputs

    def _take_losses(self, batch: Batch, outputs: Mapping[str, Tensor], means: Mapping[str, MeanMetric]) -> None:
        for name, rows in batch.tasks.items():
            kind = self._tasks[name].kind
            count = (rows.targets != IGNORED).sum() if kind.per_token else len(rows.targets)
            means[name].update(kind.loss(outputs[name], rows.targets), weight=count)

    def end(self, split: str) -> dict[str, Tensor]:
        """Every metric of the split by its name in the record."""
        values: dict[str, Tensor] = {}
        for name, scores in self._scores[split].items():
            values[f"{split}/{name}/loss"] = self._losses[split][name].compute()
            values |= {f"{split}/{name}/{metric}": value for metric, value in scores.compute().items()}
        oriented = [
            values[f"{split}/{name}/{task.metric}"] * (1 if task.higher_is_better else -1)
            for name, task in self._tasks.items()
        ]
        values[f"{split}/score"] = torch.stack([value.float() for value in oriented]).mean()
        for ray, losses in self._along.items():
            values |= {f"{split}/{name}/loss/{named(ray)}": mean.compute() for name, mean in losses.items()}
        return values
