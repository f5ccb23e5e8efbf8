"""ExcessMTL (He et al. 2024): tasks far from their own optimum count more, noisy ones do not."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class ExcessMTL(Weighting):
    """Exponentiated-gradient weights, w_i <- w_i exp(eta e_i / e_i(0)), of estimated excess risks e_i.

    The paper estimates e_i = sum_k g_ik^2 / h_ik with h_ik^2 the sum of g_ik^2 over the steps so far, coordinate by
    coordinate. A Gramian knows norms only, so here e_i = |g_i|^2 / h_i with h_i^2 the sum of |g_i|^2: the same with
    one h a task (AdaGrad-norm in place of AdaGrad). Weights start on the simplex, as in the paper (the codes start at
    1 and come to K); the baseline e_i(0) is the mean of the task's first `warmup` steps, with its weight kept.

    Args:
        tasks: the run's tasks and their kinds.
        step_size: eta.
        warmup: steps of a task that make its baseline (the paper: 3 epochs; the codes: 1 step).

    """

    claims: ClassVar = frozenset(
        {
            Claim.CONVEX,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.UNIT_FREE,
            Claim.STRONGLY_STATIONARY,
        }
    )
    needs_gramian = True
    weights: Tensor
    squares: Tensor
    baseline: Tensor
    count: Tensor

    def __init__(self, tasks: Mapping[str, str], step_size: float = 0.01, warmup: int = 1) -> None:
        super().__init__(tasks)
        if not step_size > 0 or warmup < 1:
            raise ValueError(f"`step_size` should be above 0 and `warmup` at least 1. Found {step_size}, {warmup}")
        self.step_size, self.warmup = step_size, warmup
        T = len(self.tasks)
        self.register_buffer("weights", torch.full((T,), 1 / T))
        for name in ("squares", "baseline", "count"):
            self.register_buffer(name, torch.zeros(T))

    def forward(self, signals: Signals) -> Tensor:
        """K weights that come to 1; the K tasks keep what they have together in the run's simplex."""
        tasks, square = signals.tasks, signals.require_gramian().diagonal().float().clamp(min=0)
        if not square.isfinite().all():
            return self.or_equal(torch.full_like(square, torch.nan))
        self.squares[tasks] += square
        self.count[tasks] += 1
        excess = torch.where(square > 0, square / self.squares[tasks].sqrt(), 0.0)
        warm = self.count[tasks] <= self.warmup
        self.baseline[tasks] += torch.where(warm, excess / self.warmup, 0.0)
        relative = torch.where(warm | (self.baseline[tasks] == 0), 0.0, excess / self.baseline[tasks])
        shares = torch.softmax(self.weights[tasks].log() + self.step_size * relative, dim=0)
        self.weights[tasks] = shares * self.weights[tasks].sum()
        return shares
