"""What a run may use, and what it has used: steps, rows, tokens, seconds and estimated FLOPs, task by task."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import nn

from mtl.model.base import Trunk
from mtl.training.loaders import StepLoader
from mtl.training.module import MultiTaskModule

Unit = Literal["steps", "rows", "tokens", "seconds", "flops"]


@dataclass(frozen=True)
class Budget:
    """The length of a run. Its last step is the one that reaches the amount.

    Args:
        unit: optimiser steps; rows or tokens of all tasks, without padding; seconds of training steps, the drawing of
            their rows included and validation, checkpoints and test not; estimated FLOPs (see `flops_per_place`).
        amount: how many.
    """

    unit: Unit
    amount: float


def flops_per_place(trunk: Trunk) -> int:
    """FLOPs of a training step for each place that the trunk reads (token, padding, prompt, label word): an estimate.

    6 for each trained weight and 2 for each frozen one: a multiplication and an addition forward, and as many for the
    gradient of the inputs and for that of the weights (Kaplan et al. 2020, section 2.1, C = 6 N D). N leaves out
    embeddings, as there, and heads; attention's products with the length, and the further backward passes of weightings
    that take each task's gradient, are not counted. `torch.utils.flop_counter` finds nothing in torch's LSTM.
    Where a trunk's weights are not used once a place, it says how often (`uses`).
    """
    modules = [module for module in trunk.modules() if not isinstance(module, nn.Embedding)]
    weights = [(weight, trunk.uses(module)) for module in modules for weight in module.parameters(recurse=False)]
    return round(sum((6 if weight.requires_grad else 2) * weight.numel() * uses for weight, uses in weights))


class Meter(Callback):
    """Adds up what training uses, ends a run whose budget is not in steps, and tells plan and module how far it is.

    Rows, tokens and FLOPs follow from the plan, so that such a run is as long after a kill. Seconds are measured: what
    was measured before a kill counts. A step's seconds and its trunk's FLOPs are shared by its tasks' tokens.

    Args:
        loader: counts what each task is given.
        budget: of the run.
        trunk: of the model.
    """

    def __init__(self, loader: StepLoader, budget: Budget, trunk: Trunk) -> None:
        self.loader, self.budget = loader, budget
        self.flops = flops_per_place(trunk)
        self.seconds = dict.fromkeys(loader.tasks, 0.0)

    def by_task(self) -> dict[Unit, Mapping[str, float]]:
        """What each task had. Tasks share steps: theirs need not sum to the run's."""
        used = self.loader.used
        flops = {name: self.flops * count for name, count in used["places"].items()}
        given: dict[Unit, Mapping[str, float]] = {unit: used[unit] for unit in ("steps", "rows", "tokens")}
        return {**given, "seconds": self.seconds, "flops": flops}

    def total(self, unit: Unit) -> float:
        """What the run used."""
        return self.loader.step if unit == "steps" else sum(self.by_task()[unit].values())

    @property
    def used(self) -> float:
        """Share of the budget that is used; more than 1 where the last step went over it."""
        return self.total(self.budget.unit) / self.budget.amount

    def points(self) -> dict[str, float]:
        """`budget/<unit>` and `budget/<task>/<unit>`, for the record."""
        found: dict[str, float] = {}
        for unit, counts in self.by_task().items():
            found[f"budget/{unit}"] = float(self.total(unit))
            found |= {f"budget/{name}/{unit}": float(count) for name, count in counts.items()}
        return found

    def page(self) -> str:
        """Where the compute went: each task's amounts and shares, as Markdown."""
        counts = self.by_task()
        lines = ["| task | " + " | ".join(counts) + " |", "|---|" + "--:|" * len(counts)]
        for name in self.loader.tasks:
            cells = [_cell(counts[unit][name], self.total(unit)) for unit in counts]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("| all | " + " | ".join(f"{self.total(unit):.6g}" for unit in counts) + " |")
        return "\n".join(lines) + "\n"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that goes on may be at its end."""
        self._tell(trainer, pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Count the step."""
        seconds, tokens = time.perf_counter() - self.loader.asked, self.loader.tokens
        total = sum(tokens.values())
        for name, count in tokens.items():
            self.seconds[name] += seconds * count / total
        self._tell(trainer, pl_module)

    def _tell(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, MultiTaskModule)
        if self.loader.plan.steps is None:
            self.loader.plan.done = module.used = self.used
            trainer.should_stop = trainer.should_stop or self.used >= 1

    def state_dict(self) -> dict[str, Any]:
        """The seconds; all else is the loader's."""
        return {"seconds": dict(self.seconds)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.seconds = dict(state_dict["seconds"])


def _cell(count: float, total: float) -> str:
    return f"{count:.6g} ({100 * count / total:.0f} %)" if total else f"{count:.6g}"
