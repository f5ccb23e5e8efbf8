"""Shares as given: how important each task is."""

from collections.abc import Mapping

from torch import Tensor

from mtl.strategies.switching.feedback import Progress
from mtl.strategies.switching.rate.base import Rate, given


class Fixed(Rate):
    """p_i = shares_i, the whole run long.

    Args:
        sizes: training rows of each task.
        shares: of each task, with sum 1; by default equal.
    """

    def __init__(self, sizes: Mapping[str, int], shares: Mapping[str, float] | None = None) -> None:
        super().__init__(sizes)
        self.shares = self.alike(1 / len(sizes)) if shares is None else given("shares", shares, sizes)
        if abs(float(self.shares.sum()) - 1) > 1e-6:
            raise ValueError(f"`shares` should sum to 1. Found {float(self.shares.sum()):.6g} of {dict(shares or {})}")

    def __call__(self, progress: Progress) -> Tensor:
        """The shares."""
        return self.shares
