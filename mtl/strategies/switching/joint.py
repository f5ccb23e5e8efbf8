"""Joint training: every step sees every task."""

from mtl.strategies.switching.base import Switching


class Joint(Switching):
    """`batch_size` rows of each task in each step; tasks that share rows and prompt are asked of the same rows."""

    def rows(self, step: int) -> dict[str, int]:
        """All tasks."""
        return dict.fromkeys(self.sizes, self.batch_size)
