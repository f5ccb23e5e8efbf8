"""As many rows as a task has ("examples-proportional mixing" with an artificial limit: T5, Raffel et al. 2020)."""

from collections.abc import Mapping

from torch import Tensor

from mtl.strategies.switching.feedback import Progress
from mtl.strategies.switching.rate.base import Rate
from mtl.strategies.switching.rate.temperature import Temperature


class Proportional(Rate):
    """p_i ~ min(N_i, cap).

    Args:
        sizes: training rows N_i of each task.
        cap: K, the rows at which a task counts as large; `None`: no limit.
    """

    def __init__(self, sizes: Mapping[str, int], cap: int | None = None) -> None:
        super().__init__(sizes)
        self._rule = Temperature(sizes, 1.0, cap)

    def __call__(self, progress: Progress) -> Tensor:
        """The capped sizes."""
        return self._rule(progress)
