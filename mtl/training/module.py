"""The one LightningModule: forward, losses, weights, one backward."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection

from mtl.data.batch import Batch
from mtl.data.kinds.tagging import IGNORED
from mtl.data.task import Task
from mtl.model.multitask import MultiTaskModel
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.training.gradients import Where, weigh_gradients
from mtl.training.steplog import StepLog

MakeOptimizer = Callable[[Iterable[Any]], torch.optim.Optimizer]


class MultiTaskModule(pl.LightningModule):
    """Trains a model on the weighted sum of its tasks' losses, L = sum_i w_i L_i + penalty.

    Args:
        model: trunk and heads.
        tasks: the tasks of the run, in its order.
        weighting: losses to weights.
        make_optimizer: parameter groups to an optimiser.
        steps: optimiser steps of the run.
        payload: what a checkpoint carries beside the weights, as plain data (configuration, vocabulary, tasks).
        gradients: where the Gramian is taken for a weighting that needs one: over the `shared` parameters, or at the
            trunk's `features` for tasks that share their rows.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        tasks: Mapping[str, Task],
        weighting: Weighting,
        make_optimizer: MakeOptimizer,
        steps: int,
        payload: Mapping[str, Any],
        gradients: Where = "shared",
    ) -> None:
        super().__init__()
        self.model, self.weighting = model, weighting
        self.tasks = dict(tasks)
        if gradients not in get_args(Where):
            raise ValueError(f"`gradients` should be {' or '.join(get_args(Where))}. Found '{gradients}'")
        self.make_optimizer, self.steps, self.payload = make_optimizer, steps, payload
        self.gradients: Where = gradients
        self.steplog = StepLog(list(tasks))
        self._place = {name: place for place, name in enumerate(tasks)}
        self._scores: dict[str, dict[str, MetricCollection]] = {}
        self._losses: dict[str, dict[str, MeanMetric]] = {}
        self.gramian: tuple[list[str], Tensor] | None = None
        """Tasks and Gramian of the last step, where the weighting took one."""
        self._random: tuple[Tensor, list[Tensor] | None] | None = None

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The step's total loss."""
        losses = {name: self.tasks[name].kind.loss for name in batch.tasks}
        if self.weighting.needs_gramian:
            told, weights_K, total = weigh_gradients(
                self.model, batch, losses, self.weighting, lambda found: self._signals(batch, found), self.gradients
            )
        else:
            outputs = self.model(batch)
            losses_K = torch.stack([losses[name](outputs[name], rows.targets) for name, rows in batch.tasks.items()])
            told = self._signals(batch, losses_K.detach())
            weights_K = self.weighting(told)
            total = (weights_K * losses_K).sum() + self.weighting.penalty(told)
        self.steplog.add(batch, told.losses, weights_K.detach())
        self.gramian = None if told.gramian is None else (list(batch.tasks), told.gramian)
        return total

    def _signals(self, batch: Batch, losses_K: Tensor) -> Signals:
        places = torch.tensor([self._place[name] for name in batch.tasks], device=losses_K.device)
        return Signals(places, losses_K, self.global_step, self.steps, self._epoch())

    def _epoch(self) -> int:
        return getattr(self.trainer.train_dataloader, "epoch", 0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The model's parameters, and the weighting's own with their own learning rate and no decay."""
        groups: list[dict[str, Any]] = [{"params": list(self.model.parameters())}]
        if own := list(self.weighting.parameters()):
            rate = {} if self.weighting.learning_rate is None else {"lr": self.weighting.learning_rate}
            groups.append({"params": own, "weight_decay": 0.0, **rate})
        return self.make_optimizer(groups)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Lightning doesn't know our batch."""
        return batch.to(device)

    # evaluation: the same for both splits

    def _begin(self, split: str) -> None:
        self._scores[split] = {name: task.kind.metrics().to(self.device) for name, task in self.tasks.items()}
        self._losses[split] = {name: MeanMetric().to(self.device) for name in self.tasks}

    def _evaluate(self, batch: Batch, split: str) -> dict[str, Tensor]:
        outputs = self.model(batch)
        for name, rows in batch.tasks.items():
            self._scores[split][name].update(outputs[name], rows.targets)
            kind = self.tasks[name].kind
            count = (rows.targets != IGNORED).sum() if kind.per_token else len(rows.targets)
            self._losses[split][name].update(kind.loss(outputs[name], rows.targets), weight=count)
        return outputs

    def _end(self, split: str) -> None:
        values: dict[str, Tensor] = {}
        for name, scores in self._scores[split].items():
            values[f"{split}/{name}/loss"] = self._losses[split][name].compute()
            values |= {f"{split}/{name}/{metric}": value for metric, value in scores.compute().items()}
        oriented = [
            values[f"{split}/{name}/{task.metric}"] * (1 if task.higher_is_better else -1)
            for name, task in self.tasks.items()
        ]
        values[f"{split}/score"] = torch.stack([value.float() for value in oriented]).mean()
        self.log_dict(values)

    def on_validation_epoch_start(self) -> None:
        """Fresh metrics."""
        self._begin("val")

    def validation_step(self, batch: Batch, _: int) -> None:
        """Feed the metrics."""
        self._evaluate(batch, "val")

    def on_validation_epoch_end(self) -> None:
        """Compute and log."""
        self._end("val")

    def on_test_epoch_start(self) -> None:
        """Fresh metrics."""
        self._begin("test")

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Feed the metrics; the outputs go to whoever keeps predictions."""
        return self._evaluate(batch, "test")

    def on_test_epoch_end(self) -> None:
        """Compute and log."""
        self._end("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A checkpoint says by itself what it is, and holds all that going on from it needs."""
        checkpoint["mtl"] = dict(self.payload)
        checkpoint["steplog"] = self.steplog.state()
        checkpoint["random"] = torch.get_rng_state()
        if torch.cuda.is_available():
            checkpoint["random_cuda"] = torch.cuda.get_rng_state_all()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the step log back, and the random state when training goes on: making a model uses it up."""
        self.steplog.load_state(checkpoint["steplog"])
        self._random = (checkpoint["random"], checkpoint.get("random_cuda"))

    def on_train_start(self) -> None:
        """Go on with the random numbers that the checkpoint's next step would have had."""
        if self._random is not None:
            torch.set_rng_state(self._random[0].cpu())
            if self._random[1] is not None and torch.cuda.is_available():
                torch.cuda.set_rng_state_all(self._random[1])
            self._random = None
