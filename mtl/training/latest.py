"""The checkpoint that a run which is cut off goes on from."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn


class Latest(Checkpoint):
    """Writes it every so many steps; where a validation is due after the step, once that is done.

    Lightning's `ModelCheckpoint` writes before the validation, and a run that goes on from there leaves it out: what
    learns from scores (`gap`, early stopping, `selection=best`) would go another way than without the interruption.

    Args:
        path: of the file.
        every: steps from one to the next.
    """

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write, unless a validation comes next."""
        interval = trainer.val_check_batch
        if not (trainer.should_stop or (interval and (batch_idx + 1) % interval == 0)):
            self._write(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what waited for it."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        if trainer.global_step % self.every == 0:
            trainer.save_checkpoint(self.path)
