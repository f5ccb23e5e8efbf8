"""Early stopping, task by task and of the whole run, by validation scores."""

import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from mtl.strategies.switching.plan import Plan
from mtl.training.module import MultiTaskModule

MEAN = ""
"""Stands for the mean over tasks, beside their names."""


class EarlyStop(Callback):
    """Retires a task whose score has stalled, and ends a run in which all have, or whose mean score has.

    A retired task gets no rows from the plan's next block on; the others share what it had. A score that is nan is no
    gain. Patience counts validations in a row, as in Prechelt (1998), "Early stopping - but when?", criterion UP.

    Args:
        plan: of the run.
        patience: validations without a better primary score after which a task retires; `None`: never.
        mean_patience: the same for the mean over all tasks, retired ones too, after which the run ends.
        least_gain: by how much a score should be better to count as such, in the unit of the metric.
    """

    def __init__(self, plan: Plan, patience: int | None, mean_patience: int | None, least_gain: float) -> None:
        self.plan, self.least_gain = plan, least_gain
        self.patience = {**dict.fromkeys(plan.sizes, patience), MEAN: mean_patience}
        self.best = dict.fromkeys(self.patience, -math.inf)
        self.stale = dict.fromkeys(self.patience, 0)
        self.stopped: dict[str, int] = {}
        """Step at which each task, or the mean, was found to have stalled."""

    @property
    def over(self) -> bool:
        """Whether the run should end."""
        return MEAN in self.stopped or self.plan.retired == set(self.plan.sizes)

    def points(self) -> dict[str, float]:
        """`early_stop/<task>/step` of each that retired, and `early_stop/step` where the run was ended."""
        found = {f"early_stop/{name}/step": float(step) for name, step in self.stopped.items() if name != MEAN}
        return {**found, "early_stop/step": float(max(self.stopped.values()))} if self.over else found

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the scores."""
        assert isinstance(pl_module, MultiTaskModule)
        values, scores = trainer.callback_metrics, {MEAN: float(trainer.callback_metrics["val/score"])}
        for name, task in pl_module.tasks.items():
            value = float(values[f"val/{name}/{task.metric}"])
            scores[name] = value if task.higher_is_better else -value
        if not self.over:
            self.observe(trainer.global_step, scores)
        trainer.should_stop = trainer.should_stop or self.over

    def observe(self, step: int, scores: Mapping[str, float]) -> None:
        """Take the scores of a validation, higher is better, of the tasks and the `MEAN`."""
        for name, patience in self.patience.items():
            if scores[name] > self.best[name] + self.least_gain:
                self.best[name], self.stale[name] = scores[name], 0
            else:
                self.stale[name] += 1
            if patience is not None and self.stale[name] >= patience and name not in self.stopped:
                self.stopped[name] = step
        self.plan.retired |= set(self.stopped) - {MEAN}

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """A run that goes on may be at its end."""
        trainer.should_stop = trainer.should_stop or self.over

    def state_dict(self) -> dict[str, Any]:
        """What it has seen; who is retired is in the plan's state too."""
        return {"best": dict(self.best), "stale": dict(self.stale), "stopped": dict(self.stopped)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.best, self.stale = dict(state_dict["best"]), dict(state_dict["stale"])
        self.stopped = dict(state_dict["stopped"])
        self.plan.retired |= set(self.stopped) - {MEAN}
