"""Annealed sampling: proportional at first, nearly uniform at the end (PALs, Stickland and Murray 2019)."""

from collections.abc import Mapping

from torch import Tensor

from mtl.strategies.switching.feedback import Progress
from mtl.strategies.switching.rate.base import Rate


class Annealed(Rate):
    """p_i ~ N_i^a with a = 1 - 0.8 (e - 1) / (E - 1) in epoch e of E.

    Args:
        sizes: training rows N_i of each task.
        fall: by how much the exponent falls over the run (paper: 0.8).
        epochs: E steps in which it falls; `None`: with every block. The paper's epochs are equal parts of the run.
    """

    def __init__(self, sizes: Mapping[str, int], fall: float = 0.8, epochs: int | None = None) -> None:
        super().__init__(sizes)
        if not 0 <= fall <= 1:
            raise ValueError(f"`fall` should be from 0 to 1. Found {fall}")
        if epochs is not None and epochs < 2:
            raise ValueError(f"`epochs` should be at least 2. Found {epochs}")
        self.fall, self.epochs = fall, epochs

    def __call__(self, progress: Progress) -> Tensor:
        """Powers of the sizes."""
        done = progress.done
        if self.epochs is not None:
            done = min(int(progress.gone * self.epochs), self.epochs - 1) / (self.epochs - 1)
        return (self.counts / self.counts.max()) ** (1 - self.fall * done)
