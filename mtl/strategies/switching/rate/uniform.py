"""The same for every task ("equal mixing" in T5, Raffel et al. 2020)."""

from torch import Tensor

from mtl.strategies.switching.feedback import Progress
from mtl.strategies.switching.rate.base import Rate


class Uniform(Rate):
    """1 / T."""

    def __call__(self, progress: Progress) -> Tensor:
        """Equal shares."""
        return self.alike()
