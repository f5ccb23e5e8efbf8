"""Between proportional and uniform (multilingual BERT; T5, Raffel et al. 2020, section 3.5.2)."""

from collections.abc import Mapping

from torch import Tensor

from mtl.strategies.switching.feedback import Progress
from mtl.strategies.switching.rate.base import Rate


class Temperature(Rate):
    """p_i ~ min(N_i, cap)^(1 / temperature): 1 is proportional, infinity uniform.

    Args:
        sizes: training rows N_i of each task.
        temperature: T; T5 found 2 the best of 2, 4 and 8.
        cap: K, the rows at which a task counts as large (T5: 2^21); `None`: no limit.
    """

    def __init__(self, sizes: Mapping[str, int], temperature: float = 2.0, cap: int | None = None) -> None:
        super().__init__(sizes)
        if not temperature > 0:
            raise ValueError(f"`temperature` should be positive. Found {temperature}")
        if cap is not None and cap < 1:
            raise ValueError(f"`cap` should be at least 1. Found {cap}")
        self.temperature, self.cap = temperature, cap

    def __call__(self, progress: Progress) -> Tensor:
        """Powers of the capped sizes."""
        counts = self.counts if self.cap is None else self.counts.clamp(max=self.cap)
        return (counts / counts.max()) ** (1 / self.temperature)
