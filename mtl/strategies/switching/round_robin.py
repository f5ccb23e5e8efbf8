"""Round robin: one task a step, in turn."""

from mtl.strategies.switching.base import Switching


class RoundRobin(Switching):
    """Task 1, 2, ..., T, 1, ...; a task sees `batch_size` rows every T steps."""

    def rows(self, step: int) -> dict[str, int]:
        """The task whose turn it is."""
        return {list(self.sizes)[step % len(self.sizes)]: self.batch_size}
