"""What a checkpoint holds beside weights, optimiser and loops: what it is, the step log, the random states."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mtl.training.processes import of_each
from mtl.training.steplog import StepLog


class Kept:
    """Says by itself what a checkpoint is, and lets training go on from it as if it had not stopped.

    Args:
        payload: plain data: configuration, vocabulary, tasks.
        steplog: of the run.
    """

    def __init__(self, payload: Mapping[str, Any], steplog: StepLog) -> None:
        self.payload, self.steplog = payload, steplog
        self._random: tuple[Tensor, list[Tensor] | None] | None = None

    def save(self, checkpoint: dict[str, Any], device: torch.device) -> None:
        """Add it all; every process of the run calls this, and the random state of each is kept."""
        checkpoint["mtl"] = dict(self.payload)
        checkpoint["steplog"] = self.steplog.state()
        checkpoint["random"] = [state.cpu() for state in of_each(torch.get_rng_state().to(device))]
        if torch.cuda.is_available():
            checkpoint["random_cuda"] = torch.cuda.get_rng_state_all()

    def load(self, checkpoint: Mapping[str, Any], rank: int) -> None:
        """Take the step log back, and look up the random state of this process, where as many wrote the checkpoint."""
        self.steplog.load_state(checkpoint["steplog"])
        states = checkpoint["random"]
        states = [states] if isinstance(states, Tensor) else states  # as written before there were several processes
        self._random = (states[rank if rank < len(states) else 0], checkpoint.get("random_cuda"))

    def go_on(self) -> None:
        """The random numbers that the checkpoint's next step would have had: making a model used others up."""
        if self._random is None:
            return
        here, cuda = self._random
        torch.set_rng_state(here.cpu())
        if cuda is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(cuda)
        self._random = None
