"""Scheduled weights: moved between any weight vectors while training goes on (the article's 0.8/0.2 <-> 0.2/0.8)."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim
from mtl.strategies.weighting.vectors import Weights, leading, vector

Shape = Literal["step", "linear", "cosine", "cyclic"]


def path(progress: float, num_points: int, shape: Shape, cycles: float = 1.0) -> tuple[int, float]:
    """Which of the points lies behind, and how far (0 to 1) the way to the next has been gone.

    Args:
        progress: share of the run that is done, 0 to 1.
        num_points: M points, evenly spaced over the run (`step`: each holds for 1/M of it).
        shape: `step` jumps, `linear` and `cosine` move (cosine with a soft start and end between two points),
            `cyclic` goes linearly from the first point to the last and back, `cycles` times.
        cycles: for `cyclic`; a half cycle ends at the last point.

    """
    if shape == "step":
        return min(int(progress * num_points), num_points - 1), 0.0
    if shape == "cyclic":
        progress = 1 - abs(1 - 2 * (progress * cycles % 1.0))
    position = progress * (num_points - 1)
    behind = min(int(position), num_points - 2)
    gone = position - behind
    return behind, (1 - math.cos(math.pi * gone)) / 2 if shape == "cosine" else gone


class Scheduled(Weighting):
    """Weights along a path of points over the run.

    Args:
        tasks: the run's tasks and their kinds.
        points: two or more weight vectors, by task name or in the order of the tasks; `None`: each task leads in turn.
        shape: how to go from point to point; see `path`.
        cycles: for `cyclic`, how many times there and back.
        lead: where `points` is `None`, the leading task's share.

    """

    claims: ClassVar = frozenset(
        {
            Claim.CONVEX,
            Claim.SCALE_INVARIANT,
            Claim.UNIT_FREE,
            Claim.STRONGLY_STATIONARY,
        }
    )
    points: Tensor

    def __init__(
        self,
        tasks: Mapping[str, str],
        points: Sequence[Weights] | None = None,
        shape: Shape = "cyclic",
        cycles: float = 1.0,
        lead: float = 0.8,
    ) -> None:
        super().__init__(tasks)
        if shape not in get_args(Shape):
            raise ValueError(f"`shape` should be {', '.join(get_args(Shape))}. Found '{shape}'")
        if not cycles > 0:
            raise ValueError(f"`cycles` should be positive. Found {cycles}")
        if points is not None and len(points) < 2:
            raise ValueError(f"`points` should be two weight vectors or more. Found {len(points)}")
        if points is None:
            T = len(self.tasks)
            chosen = [leading(self.tasks, leader % T, lead) for leader in range(max(T, 2))]
        else:
            chosen = [vector(self.tasks, point) for point in points]
        self.register_buffer("points", torch.stack(chosen))
        self.shape: Shape = shape
        self.cycles = cycles

    def total(self, tasks: int) -> float:
        """The mean of the first point for each of the step's tasks."""
        return tasks * float(self.points[0].mean())

    def forward(self, signals: Signals) -> Tensor:
        """The weights at this step, of the step's tasks."""
        behind, gone = path(signals.done, len(self.points), self.shape, self.cycles)
        weights = self.points[behind]
        if gone:
            weights = torch.lerp(weights, self.points[behind + 1], gone)
        return weights[signals.tasks]
