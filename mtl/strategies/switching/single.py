"""One task alone: the baseline of Delta_m."""

from collections.abc import Mapping

from mtl.strategies.switching.base import Switching


class Single(Switching):
    """`batch_size` rows of one task in each step.

    Args:
        sizes: training rows of each task.
        batch_size: rows a step.
        seed: unused; every switching has it.
        task: which; may be left out where the run has one task.

    """

    def __init__(self, sizes: Mapping[str, int], batch_size: int, seed: int = 0, task: str | None = None) -> None:
        super().__init__(sizes, batch_size, seed)
        if task is None and len(sizes) > 1:
            raise ValueError(f"`task` should say which of {', '.join(sizes)} is trained alone. Found none")
        if task is not None and task not in sizes:
            raise ValueError(f"`task` should be a task of the run: {', '.join(sizes)}. Found '{task}'")
        self.task = task or next(iter(sizes))

    def rows(self, step: int) -> dict[str, int]:
        """The one task."""
        return {self.task: self.batch_size}
