"""CAGrad (Liu et al. 2021): conflict-averse descent, the best worst task within a ball around the mean gradient."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from mtl.functional.cagrad import cagrad
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class CAGrad(Weighting):
    """1/K + v_i, where sum_i v_i g_i has length c |g_0| and serves the task that gains least.

    The official code then divides by 1 + c^2 (its `rescale=1`), which Adam does not notice; the paper does not, nor
    does this. Its SLSQP gives way to an exact solver.

    Args:
        tasks: the run's tasks and their kinds.
        c: radius of the ball in units of |g_0| (the paper: 0.4 on NYUv2 and Cityscapes, 0.5 on the toy).

    """

    claims: ClassVar = frozenset(
        {
            Claim.NONNEGATIVE,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.STRONGLY_STATIONARY,
        }
    )
    needs_gramian = True

    def __init__(self, tasks: Mapping[str, str], c: float = 0.4) -> None:
        super().__init__(tasks)
        if c < 0:
            raise ValueError(f"`c` should not be negative. Found {c}")
        self.c = c

    def forward(self, signals: Signals) -> Tensor:
        """K weights, none below 1/K; those of alike tasks come to 1 + c."""
        return self.or_equal(cagrad(signals.require_gramian(), self.c))
