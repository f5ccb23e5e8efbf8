"""The one LightningModule: forward, losses, weights, one backward."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, get_args

import pytorch_lightning as pl
import torch
from torch import Tensor

from mtl.data.batch import Batch
from mtl.data.task import Task
from mtl.errors import MtlError
from mtl.model.multitask import MultiTaskModel
from mtl.strategies.transform.base import Transform
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.training.adatask import AdaTask
from mtl.training.checkpoint import Kept
from mtl.training.dynamics import Dynamics
from mtl.training.evaluation import Evaluation
from mtl.training.gradients import PerTask, weigh_gradients
from mtl.training.loaders import StepLoader
from mtl.training.parts import cut, whole
from mtl.training.passes import Loss
from mtl.training.processes import num_processes, of_the_first
from mtl.training.products import scaled
from mtl.training.soundness import OnNan, exact, sound, usable
from mtl.training.steplog import StepLog
from mtl.training.trainer_checks import check_per_task, check_trainer
from mtl.training.where import Where, check

MakeOptimizer = Callable[[Iterable[Any]], torch.optim.Optimizer]


class MultiTaskModule(pl.LightningModule):
    """Trains a model on the weighted sum of its tasks' losses, L = sum_i w_i t(L_i) + penalty.

    A weighting that needs no gradients weighs a head's gradient too: it is the slope of that L. With one that does, the
    trunk alone is weighted and each head learns from its own loss, as in the papers, unless `weight_heads`.

    Args:
        model: trunk and heads.
        tasks: the tasks of the run, in its order.
        weighting: losses to weights.
        make_optimizer: parameter groups to an optimiser.
        steps: optimiser steps of the run; `None`: its length is given in another unit, and `used` says how much of it.
        payload: what a checkpoint carries beside the weights, as plain data (configuration, vocabulary, tasks).
        gradients: where the Gramian is taken for a weighting that needs one: over the `shared` parameters, at the
            trunk's `features` for tasks that share their rows, over its `last_layer`, or over those of a `prompt`.
        transform: t, what each loss becomes before it is weighed; `None`: itself.
        weight_heads: for a weighting that takes gradients, whether each head's is weighted too.
        on_nan: whether a loss or (where gradients are taken) a gradient that is not finite will `stop` the run with the
            task's name, or `skip` the task in that step, which is counted in `skipped`.
        accumulate: parts that a step's rows go through the model in, to save memory. Up to rounding (and dropout's
            random numbers), the step is the same one: its losses, Gramian and weights are those of all its rows.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        tasks: Mapping[str, Task],
        weighting: Weighting,
        make_optimizer: MakeOptimizer,
        steps: int | None,
        payload: Mapping[str, Any],
        gradients: Where = "shared",
        transform: Transform | None = None,
        weight_heads: bool = False,
        on_nan: OnNan = "stop",
        accumulate: int = 1,
    ) -> None:
        super().__init__()
        self.model, self.weighting = model, weighting
        self.tasks = dict(tasks)
        if gradients not in get_args(Where):
            raise ValueError(f"`gradients` should be {' or '.join(get_args(Where))}. Found '{gradients}'")
        self.make_optimizer, self.steps, self.payload = make_optimizer, steps, payload
        self.gradients: Where = gradients
        if on_nan not in get_args(OnNan):
            raise ValueError(f"`on_nan` should be {' or '.join(get_args(OnNan))}. Found '{on_nan}'")
        self.transform, self.weight_heads, self.on_nan = transform, weight_heads, on_nan
        if accumulate < 1:
            raise ValueError(f"`accumulate` should be at least 1. Found {accumulate}")
        self.accumulate = accumulate
        if weighting.needs_gramian:
            check(model, weighting, gradients, weight_heads)
        if weighting.coming_preference() is not None and model.condition is None:
            raise ValueError(
                f"{type(weighting).__name__} tells the model a preference. Found a model without `condition`"
            )
        self.skipped: Tensor
        self.register_buffer("skipped", torch.zeros(len(tasks), dtype=torch.long))
        self.steplog = StepLog(list(tasks))
        self._kept = Kept(payload, self.steplog)
        self._place = {name: place for place, name in enumerate(tasks)}
        self._evaluation = Evaluation(model, self.tasks)
        self.used = 0.0
        """Share of the run's length that is used, from who measures it; read where `steps` is `None`."""
        self.gramian: tuple[list[str], Tensor] | None = None
        """Tasks and Gramian of the last step, where the weighting took one, or `dynamics` did."""
        self.dynamics: Dynamics | None = None
        """Looks at gradients in some steps of a weighting that takes none."""
        self.told: Signals | None = None
        """What the weighting was told in the last step."""
        self._left_out: list[torch.nn.Parameter] = []
        """What belongs to tasks of the last step that were left out of it."""
        self._per_task: PerTask | None = None
        """Where the optimiser takes the gradients of the tasks."""

    def training_step(self, batch: Batch, _: int) -> Tensor | None:
        """The step's total loss; `None`, which changes nothing, where no task's is finite."""
        if self.model.condition is not None:
            preference = self.weighting.coming_preference()
            self.model.condition.tell(preference if preference is None else of_the_first(preference.to(self.device)))
        alone = self.accumulate == 1 and num_processes() == 1
        parts = whole(batch) if alone else cut(batch, self.model.per_token, self.accumulate)
        losses = {name: self.tasks[name].kind.loss for name in parts.rows}
        self.gramian = self.told = None
        if self.weighting.needs_gramian or self._per_task is not None or not alone:
            self.zero_grad()  # of the last step: they would stand beside those of the tasks
            done = weigh_gradients(
                self.model,
                batch,
                losses,
                self.weighting,
                lambda found: self._signals(parts.rows, found),
                self.gradients,
                self.weight_heads or not self.weighting.needs_gramian,
                self.on_nan,
                self._per_task,
                parts,
                self.global_step,
            )
        else:
            done = self._weigh_losses(batch, losses)
        if done is None:
            self._count_skipped(parts.rows)
            if num_processes() > 1:
                raise MtlError("on_nan=skip: several processes can't leave out a step without a finite task")
            return None
        told, weights_K, total = done
        self.told = told
        names = list(self.tasks)
        kept = [names[place] for place in told.tasks.tolist()]
        self._count_skipped(parts.rows.keys() - kept)
        self._left_out = self.model.idle(kept) if len(kept) < len(parts.rows) else []
        plain = told.losses if told.plain is None else told.plain
        self.steplog.add({name: parts.rows[name] for name in kept}, plain, weights_K.detach())
        if told.gramian is not None:
            self.gramian = (kept, told.gramian)
        return total

    def on_after_backward(self) -> None:
        """No gradient for the prompt of a task that was left out: one of zero would let momentum and decay move it."""
        for parameter in self._left_out:
            parameter.grad = None

    def _weigh_losses(self, batch: Batch, losses: Mapping[str, Loss]) -> tuple[Signals, Tensor, Tensor] | None:
        """Signals, weights and total loss of a weighting that needs no gradients."""
        outputs, names = self.model(batch), list(batch.tasks)
        found = [losses[name](outputs[name], rows.targets) for name, rows in batch.tasks.items()]
        told = self._signals(names, torch.stack(found).detach())
        kept = sound("loss", told, told.losses, names, self.on_nan)
        if not kept:
            return None
        if len(kept) < len(names):
            told, found, names = told.subset(kept), [found[i] for i in kept], [names[i] for i in kept]
        if self.dynamics is not None and self.dynamics.due(self.global_step):
            with exact(told.losses):
                self.gramian = names, scaled(self.dynamics.gramian(found), told.slopes)
        losses_K = torch.stack(found)
        with exact(losses_K):
            weights_K = self.weighting(told)
        usable(weights_K, told, names, self.weighting.name)
        if told.slopes is None:
            total = (weights_K * losses_K).sum()
        else:  # in value sum w t(L), with its gradients to the model and to the weighting's own parameters
            slopes = weights_K.detach() * told.slopes
            total = (slopes * (losses_K - losses_K.detach())).sum() + (weights_K * told.losses).sum()
            weights_K = slopes
        return told, weights_K, total + self.weighting.penalty(told)

    def _signals(self, names: Iterable[str], losses_K: Tensor) -> Signals:
        places = torch.tensor([self._place[name] for name in names], device=losses_K.device)
        told = Signals(places, losses_K, self.global_step, self.steps, self._epoch(), used=self.used)
        if self.transform is None:
            return told
        losses, slopes = self.transform.slopes(places, told.losses)
        return replace(told, losses=losses, plain=told.losses, slopes=slopes)

    def _count_skipped(self, names: Iterable[str]) -> None:
        for name in names:
            self.skipped[self._place[name]] += 1

    def _epoch(self) -> int:
        return getattr(self.trainer.train_dataloader, "epoch", 0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The model's parameters that train, a learned prompt's at its own rate, the weighting's without decay."""
        named = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        rate = None if self.model.prompt is None else self.model.prompt.learning_rate
        apart = [name for name in named if rate is not None and name.startswith("prompt.")]
        groups: list[dict[str, Any]] = [{"params": [p for name, p in named.items() if name not in apart]}]
        if apart:
            groups.append({"params": [named[name] for name in apart], "lr": rate})
        if own := list(self.weighting.parameters()):
            rate = {} if self.weighting.learning_rate is None else {"lr": self.weighting.learning_rate}
            groups.append({"params": own, "weight_decay": 0.0, **rate})
        optimizer = self.make_optimizer(groups)
        self._per_task = optimizer.per_task if isinstance(optimizer, AdaTask) else None
        if self._per_task is not None and (self.weighting.needs_jacobian or self.gradients != "shared"):
            raise MtlError(
                "optimizer=adatask needs the gradient of each task at the shared parameters: take gradients=shared and "
                f"a weighting that gives weights. Found gradients={self.gradients} and {self.weighting.name}"
            )
        return optimizer

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Lightning doesn't know our batch."""
        return batch.to(device)

    # evaluation: the same for both splits

    def on_validation_epoch_start(self) -> None:
        """Fresh metrics."""
        self._evaluation.begin("val", self.device)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Feed the metrics."""
        self._evaluation.take(batch, "val")

    def on_validation_epoch_end(self) -> None:
        """Compute and log."""
        self.log_dict(self._evaluation.end("val"))

    def on_test_epoch_start(self) -> None:
        """Fresh metrics."""
        self._evaluation.begin("test", self.device)

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Feed the metrics; the outputs go to whoever keeps predictions."""
        return self._evaluation.take(batch, "test")

    def on_test_epoch_end(self) -> None:
        """Compute and log."""
        self.log_dict(self._evaluation.end("test"))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See `Kept`."""
        self._kept.save(checkpoint, self.device)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See `Kept`."""
        self._kept.load(checkpoint, self.global_rank)

    def on_fit_start(self) -> None:
        """Stop before the first step where the trainer's settings would change what a weighting means."""
        check_trainer(self.trainer, self.weighting, self.gradients, self.accumulate)

    def on_train_start(self) -> None:
        """Go on with the random numbers that the checkpoint's next step would have had; each process with its rows."""
        loader = self.trainer.train_dataloader
        if isinstance(loader, StepLoader):
            loader.rank, loader.world = self.trainer.global_rank, self.trainer.world_size
        if self._per_task is not None:
            check_per_task(self.trainer)
        self._kept.go_on()
