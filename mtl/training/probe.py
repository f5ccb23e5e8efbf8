"""The instrument: measures while a run trains what its switches cost, and changes nothing of it."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from mtl.data.batch import Announced, Batch
from mtl.functional.switch_affinity import first_order_affinity
from mtl.functional.switch_summary import Summary, summarise
from mtl.functional.switch_trace import GradientProbe, Trace
from mtl.training.loaders import StepLoader
from mtl.training.module import MultiTaskModule
from mtl.training.probe_meter import Meter, common, gramians, moved, products, shared_parameters, undisturbed
from mtl.training.probe_optimizer import fresh_steps, stale_step
from mtl.training.probe_points import probe_points, summary_points
from mtl.training.probe_schedule import BACKWARD, Schedule

FILE = "switching/probe.json"
"""Artifact of a run that holds its trace."""
Points = Callable[[Mapping[str, float], int], None]


class Probe(Callback):
    """Losses of all tasks on fixed rows around switches, and their gradients now and then.

    All of it happens before a training step: in evaluation mode, with the random state put back, on rows of its own
    (see `probe_rows`). Training goes on with the very bits that it would have had; a test holds it to that. It stands
    first among the callbacks, so that no other clock counts its time.

    Args:
        tasks: of the run.
        steps: of the run.
        seed: of the choice of rows.
        record: takes points and their step.
        write: takes a text and the path of an artifact.
        rows: of each task.
        share: of the run's work, counted in tokens, that measuring may cost.
        every: steps between two windows of switches and two probes of gradients; `None`: by `share`.
    """

    def __init__(
        self,
        tasks: Mapping[str, Announced],
        steps: int,
        seed: int,
        record: Points,
        write: Callable[[str, str], None],
        rows: int = 16,
        share: float = 0.05,
        every: int | None = None,
    ) -> None:
        for name, value in (("rows", rows), ("every", 1 if every is None else every)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"`{name}` should be a whole number of at least 1. Found {value}")
        if not isinstance(share, float | int) or not 0 < share <= 1:
            raise ValueError(f"`share` should be above 0 and at most 1. Found {share}")
        self.meter = Meter(tasks, rows, seed)
        # a switch: all losses, and that of the task switched to under stale momentum
        price = self.meter.tokens_together + max(self.meter.tokens_alone)
        self.schedule = Schedule(len(tasks), steps, share, every, price)
        self.trace = Trace(list(tasks), sizes={name: len(task.labelled.rows["train"]) for name, task in tasks.items()})
        self.record, self.write = record, write
        self._places = {name: place for place, name in enumerate(tasks)}
        self._left: dict[int, int] = {}
        self._watched: dict[int, int] = {}
        self._began = 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Measure what is due before this step; then start the clock of the step."""
        assert isinstance(pl_module, MultiTaskModule)
        began = self._now(pl_module)
        present = sorted(self._places[name] for name in batch.tasks)
        entering = self._enter(batch_idx, present)
        due = self._due(batch_idx, entering)
        if any(due.values()):
            with undisturbed(pl_module.model), trainer.precision_plugin.forward_context():
                self.meter.to(pl_module.device)
                self._measure(due, batch_idx, pl_module, trainer.optimizers[0])
        self.schedule.trained(batch.ids.numel())
        self._began = self._now(pl_module) if any(due.values()) else time.perf_counter()
        self.trace.probe_seconds += self._began - began

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count the step, its time, and the Gramian that a weighting took."""
        assert isinstance(pl_module, MultiTaskModule)
        seconds = max(time.perf_counter() - self._began, 1e-9)
        self.trace.step_seconds += seconds
        self.trace.steps = batch_idx + 1
        tasks = self.trace.present
        if len(tasks) == 1:
            begins = self.trace.starts[-1] == batch_idx
            counted = (self.trace.first if begins else self.trace.within)[tasks[0]]
            counted[0] += 1
            counted[1] += math.log(seconds)
        told = pl_module.told
        if told is not None and told.gramian is not None and told.slopes is None:
            rate = float(trainer.optimizers[0].param_groups[0]["lr"])
            found = first_order_affinity(told.gramian.double().cpu(), told.losses.double().cpu(), rate).tolist()
            places = told.tasks.tolist()
            for row, i in zip(found, places, strict=True):
                for value, j in zip(row, places, strict=True):
                    if math.isfinite(value):
                        self.trace.free["affinity"][i][j] += value
                        self.trace.free["count"][i][j] += 1

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure where the run ends; record all measures, and the trace as an artifact."""
        assert isinstance(pl_module, MultiTaskModule)
        if not self.trace.steps:
            return
        began = self._now(pl_module)
        with undisturbed(pl_module.model), trainer.precision_plugin.forward_context():
            self.meter.to(pl_module.device)
            self._take_losses(self.trace.steps, pl_module)
        self.trace.probe_seconds += self._now(pl_module) - began
        loader = trainer.train_dataloader
        self.trace.rows = {name: float(count) for name, count in pl_module.steplog.rows.items()}
        if isinstance(loader, StepLoader):
            self.trace.planned = {name: float(count) for name, count in loader.plan.planned.items()}
        self.record(summary_points(self.summary), self.trace.steps)
        self.write(self.trace.to_json(), FILE)

    @property
    def summary(self) -> Summary:
        """All measures of the run so far."""
        return summarise(self.trace)

    def _enter(self, step: int, present: list[int]) -> list[int] | None:
        """Note which tasks this step trains; those that were not trained in the step before, `None` at no switch."""
        before = self.trace.present
        if present == before:
            return None
        self._left |= dict.fromkeys(before, step)
        self.trace.begin(step, present)
        self._watched = {}
        return [task for task in present if task not in before]

    def _due(self, step: int, entering: list[int] | None) -> dict[str, Any]:
        """What to measure before this step."""
        switch = entering is not None and self.schedule.at_switch(step)
        if switch and entering is not None:
            # a task whose loss was measured when it was left is watched until it is back there
            self._watched = {task: self._left[task] for task in entering if self._left.get(task) in self.trace.losses}
        since = step - self.trace.starts[-1]
        watch = list(self._watched) if since and not since & (since - 1) else []
        return {
            "switch": switch,
            "stale": entering if switch and step else [],
            "watch": watch,
            "gradients": self.schedule.at_gradients(step, self._price_of_gradients),
        }

    @property
    def _price_of_gradients(self) -> int:
        lookaheads = (1 + len(self._places)) * self.meter.tokens_together
        return (1 + BACKWARD) * sum(self.meter.tokens_alone) + lookaheads

    def _measure(self, due: Mapping[str, Any], step: int, module: MultiTaskModule, optimizer: Any) -> None:
        if due["switch"]:
            self._take_losses(step, module)
            self.schedule.paid("windows", self.meter.tokens_together)
            self.trace.windows = self.schedule.windows
        for task in due["watch"]:
            self._watch(task, step, module)
        shared = shared_parameters(module.model)
        both = common(module.model, self._places)  # no other task leaves momentum in a row of one's own
        if due["stale"] and (stale := stale_step(optimizer, both)) is not None:
            self._take_stale(step, due["stale"], stale, both, module)
        if due["gradients"]:
            self.schedule.paid("gradients", self._price_of_gradients)
            if shared:
                self._take_gradients(step, shared, module, optimizer)

    def _take_losses(self, step: int, module: MultiTaskModule) -> None:
        self.trace.losses[step] = self.meter.losses(module.model).tolist()
        named = zip(self.trace.tasks, self.trace.losses[step], strict=True)
        self.record({f"probe/{name}/loss": value for name, value in named}, step)

    def _watch(self, task: int, step: int, module: MultiTaskModule) -> None:
        loss = self.meter.loss(module.model, task)
        self.schedule.paid("windows", self.meter.tokens_alone[task])
        row = self.trace.losses.setdefault(step, [math.nan] * len(self._places))
        row[task] = loss
        if loss <= self.trace.losses[self._watched[task]][task]:
            del self._watched[task]

    def _take_stale(
        self, step: int, tasks: Sequence[int], stale: list[Tensor], both: Sequence[Tensor], module: MultiTaskModule
    ) -> None:
        before = self.trace.losses[step]
        with moved(both, stale):
            for task in tasks:
                self.trace.stale.append([step, task, self.meter.loss(module.model, task) - before[task]])
        self.schedule.paid("windows", sum(self.meter.tokens_alone[task] for task in tasks))

    def _take_gradients(
        self, step: int, shared: Mapping[str, torch.nn.Parameter], module: MultiTaskModule, optimizer: Any
    ) -> None:
        parameters = list(shared.values())
        with torch.enable_grad():
            gradients = self.meter.gradients(module.model, parameters)
        steps = fresh_steps(optimizer, parameters, gradients, [1.0] * len(gradients))
        losses, after = self.meter.lookahead(module.model, parameters, steps)
        weighted = fresh_steps(optimizer, parameters, gradients, module.steplog.latest.tolist())
        squares, pulls = products(weighted, weighted).diagonal(), products(steps, gradients)
        found = {place: matrix.tolist() for place, matrix in gramians(list(shared), gradients).items()}
        probe = GradientProbe(step, losses.tolist(), after.tolist(), found, pulls.tolist(), squares.tolist())
        self.trace.gradients.append(probe)
        self.record(probe_points(self.trace.tasks, probe), step)

    @staticmethod
    def _now(module: MultiTaskModule) -> float:
        """The time when all that was begun is done."""
        if module.device.type == "cuda":
            torch.cuda.synchronize(module.device)
        return time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """All that was seen, and where the schedule stands."""
        kept = {"left": dict(self._left), "watched": dict(self._watched)}
        return {"trace": self.trace.state(), "schedule": self.schedule.state(), **kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.trace = Trace.from_state(state_dict["trace"])
        self.schedule.load_state(state_dict["schedule"])
        self._left, self._watched = dict(state_dict["left"]), dict(state_dict["watched"])
