"""The validations of a run: the scores a search goes by, and the moments at which a run may be given up."""

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

Values = Mapping[str, float]


class PrunedError(BaseException):
    """The pruner gave the run up. No `Exception`: the run did not fail, it is KILLED and can be gone on with."""


class Validations(Callback):
    """Keeps every validation's metrics, also across a run that is cut off.

    Args:
        told: called with the step and its metrics; may raise PrunedError.
    """

    def __init__(self, told: Callable[[int, Values], None] = lambda step, values: None) -> None:
        self.told = told
        self.history: list[tuple[int, dict[str, float]]] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep and tell."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        self.history.append((trainer.global_step, values))
        self.told(trainer.global_step, values)

    def selected(self, selection: str) -> dict[str, float]:
        """Metrics of the `last` validation, or of the `best` by `val/score`."""
        if not self.history:
            return {}
        return (max(self.history, key=lambda at: at[1]["val/score"]) if selection == "best" else self.history[-1])[1]

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"history": list(self.history)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.history = [(step, dict(values)) for step, values in state_dict["history"]]
