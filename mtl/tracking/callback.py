"""Lightning's events as entries of the record, by the names that every table and figure reads."""

import time
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Protocol

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from mtl.functional.dynamics import conflicting_pairs, effective_rank
from mtl.functional.gramian import unit
from mtl.tracking.recorder import Recorder
from mtl.training.loaders import StepLoader
from mtl.training.module import MultiTaskModule


class Report(Protocol):
    """Has something for the record."""

    def points(self) -> dict[str, float]:
        """Names and values."""
        ...


class Record(Callback):
    """Writes `train/<task>/loss` and `/weight` (means over `every` steps), `val/...`, `test/...`, rows, step time
    and the size of what is saved; `switch/<task>/rate` where it changes;
    what `gradient_points` says of the last of every `every` steps, where the weighting takes gradients or the module's
    `dynamics` did.

    Args:
        recorder: the run.
        every: steps to a point of the training curves; 1 keeps each step.
        reports: what else is recorded when training ends: the `points` of each.
    """

    def __init__(self, recorder: Recorder, every: int, reports: Sequence[Report] = ()) -> None:
        self.recorder, self.every, self.reports = recorder, every, reports
        self._began = 0.0
        self._rates: list[float] = []
        self._training_seconds, self._timed_steps = 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        """The rates as last written: a run that goes on writes them again only where they change."""
        return {"rates": self._rates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self._rates = list(state_dict["rates"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make room for `every` steps."""
        assert isinstance(pl_module, MultiTaskModule)
        pl_module.steplog.resize(self.every)

    def on_train_batch_start(self, *_: Any) -> None:
        """Start the clock: validation in between does not count."""
        self._began = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Write a point when the buffer is full."""
        self._training_seconds += time.perf_counter() - self._began
        self._timed_steps += 1
        assert isinstance(pl_module, MultiTaskModule)
        if pl_module.steplog.full:
            self._flush(trainer, pl_module)
        loader = trainer.train_dataloader
        if isinstance(loader, StepLoader) and (rates := loader.plan.rates.tolist()) != self._rates:
            self._rates = rates
            points = {f"switch/{name}/rate": rate for name, rate in zip(loader.plan.sizes, rates, strict=True)}
            self.recorder.metrics(points, loader.plan.began)

    def _flush(self, trainer: pl.Trainer, module: MultiTaskModule) -> None:
        points = {}
        for name, (loss, weight) in module.steplog.take().items():
            points[f"train/{name}/loss"] = loss
            points[f"train/{name}/weight"] = weight
        if module.gramian is not None and bool(module.gramian[1].isfinite().all()):
            points |= gradient_points(*module.gramian)
        if points:
            self.recorder.metrics(points, trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what is left, the rows planned and seen, and the mean time of a step."""
        self._finish(trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """An interrupted run keeps its metrics so far."""
        if trainer.training:
            self._finish(trainer, pl_module)

    def _finish(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, MultiTaskModule)
        self._flush(trainer, pl_module)
        loader = trainer.train_dataloader
        values = {f"train/{name}/rows": float(count) for name, count in pl_module.steplog.rows.items()}
        if isinstance(loader, StepLoader):
            values |= {f"train/{name}/rows_planned": float(count) for name, count in loader.plan.planned.items()}
        for name, count in zip(pl_module.tasks, pl_module.skipped.tolist(), strict=True):
            if count:
                values[f"train/{name}/steps_skipped"] = float(count)
        values["weighting/fallbacks"] = float(pl_module.weighting.fallbacks)
        values["model/saved_parameters"] = float(pl_module.model.saved_parameters())
        values["time/step_ms"] = 1000 * self._training_seconds / max(self._timed_steps, 1)
        for report in self.reports:
            values |= report.points()
        self.recorder.metrics(values, trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """All validation metrics."""
        self._evaluated(trainer, "val")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """All test metrics."""
        self._evaluated(trainer, "test")

    def _evaluated(self, trainer: pl.Trainer, split: str) -> None:
        found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(f"{split}/")}
        self.recorder.metrics(found, trainer.global_step)


def gradient_points(tasks: list[str], gramian: Tensor) -> dict[str, float]:
    """`gradient/<task>/norm`, and of two tasks or more `gradient/<a>/<b>/cosine` of each pair,
    `gradient/conflicting_pairs` and `gradient/effective_rank`, of one step's K x K Gramian.
    """
    cosines, norms = unit(gramian.double())
    points = {f"gradient/{name}/norm": norm for name, norm in zip(tasks, norms.tolist(), strict=True)}
    for i, j in combinations(range(len(tasks)), 2):
        points[f"gradient/{tasks[i]}/{tasks[j]}/cosine"] = float(cosines[i, j])
    if len(tasks) > 1:
        points["gradient/conflicting_pairs"] = conflicting_pairs(gramian)
        if norms.any():
            points["gradient/effective_rank"] = effective_rank(gramian)
    return points
