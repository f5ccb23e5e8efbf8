"""A progress line that costs next to nothing: it is drawn by a thread of rich's, and told of every 10th step."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from mtl.training.loaders import EvaluationLoader
from mtl.training.module import MultiTaskModule


class Progress(Callback):
    """Steps of the training, then batches of the evaluation. Where the output is no terminal: a line now and then.

    Args:
        name: of the run.
        steps: of the training; `None`: its length is given in another unit, and percents of it are shown.
        every: steps between two updates.
        quiet_seconds: between two lines, where there is no terminal.
    """

    def __init__(self, name: str, steps: int | None, every: int = 10, quiet_seconds: float = 20) -> None:
        self.name, self.every, self.quiet_seconds = name, every, quiet_seconds
        self.unit, self.total = ("step", steps) if steps is not None else ("percent", 100)
        self.console = Console(stderr=True)
        self.live = self.console.is_terminal
        self._bar: Bar | None = None
        self._said = 0.0

    def _begin(self, what: str, total: int) -> None:
        self._said = time.monotonic()
        if self.live:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Bar(*columns, console=self.console, transient=True, refresh_per_second=4)
            self._bar.start()
            self._bar.add_task(f"{self.name}: {what}", total=total)

    def _at(self, done: int, what: str, total: int) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done)
        elif not self.live and time.monotonic() - self._said > self.quiet_seconds:
            self._said = time.monotonic()
            print(f"  {self.name}: {what} {done} of {total}", file=sys.stderr, flush=True)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_train_start(self, *_: Any) -> None:
        """Begin."""
        self._begin(self.unit, self.total)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Count."""
        if trainer.global_step % self.every == 0:
            assert isinstance(pl_module, MultiTaskModule)
            done = trainer.global_step if self.unit == "step" else int(100 * min(pl_module.used, 1.0))
            self._at(done, self.unit, self.total)

    def on_train_end(self, *_: Any) -> None:
        """End."""
        self._end()

    def on_test_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Begin."""
        assert isinstance(trainer.test_dataloaders, EvaluationLoader)
        self._batches = len(trainer.test_dataloaders)
        self._begin("test batch", self._batches)

    def on_test_batch_end(self, *arguments: Any) -> None:
        """Count."""
        self._at(arguments[4] + 1, "test batch", self._batches)

    def on_test_end(self, *_: Any) -> None:
        """End."""
        self._end()

    def on_exception(self, *_: Any) -> None:
        """Leave the terminal as it was."""
        self._end()
