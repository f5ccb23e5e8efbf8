"""What training tells the switching plan: losses, rows and seconds of steps, scores of validations."""

import math
import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from mtl.errors import MtlError
from mtl.strategies.switching.plan import Plan
from mtl.training.loaders import StepLoader
from mtl.training.module import MultiTaskModule


class TellPlan(Callback):
    """Feeds an adaptive rate. A step's numbers are told after it, before the next step's rows are asked for.

    Args:
        plan: of the run.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._began = 0.0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Each process measures other seconds and rows, and would plan other steps."""
        if trainer.world_size > 1:
            raise MtlError(f"switching: an adaptive rate needs one process. Found {trainer.world_size}")

    def on_train_batch_start(self, *_: Any) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Tell the step."""
        assert isinstance(pl_module, MultiTaskModule)
        told = pl_module.told
        if told is not None:
            names = list(pl_module.tasks)
            counts = [len(batch.tasks[names[place]].targets) for place in told.tasks.tolist()]
            rows = torch.tensor(counts, dtype=torch.float64)
            losses = told.losses if told.plain is None else told.plain
            loader, work = trainer.train_dataloader, None
            if isinstance(loader, StepLoader):
                tokens = [loader.tokens[names[place]] for place in told.tasks.tolist()]
                work = torch.tensor(tokens, dtype=torch.float64)
            self.plan.tally.add(told.tasks, losses, rows, time.perf_counter() - self._began, told.gramian, work)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell the scores, higher is better."""
        assert isinstance(pl_module, MultiTaskModule)
        for place, (name, task) in enumerate(pl_module.tasks.items()):
            value = float(trainer.callback_metrics.get(f"val/{name}/{task.metric}", math.nan))
            self.plan.tally.scores[place] = value if task.higher_is_better else -value
