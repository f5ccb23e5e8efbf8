"""GradNorm (Chen et al. 2018, algorithm 1): weights that even out gradient norms and training rates."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.adam import Moments, adam
from mtl.functional.gradnorm import gradnorm_slope
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class GradNorm(Weighting):
    """Weights that come to K, moved by Adam so that w_i |g_i| nears mean(w |g|) r_i^alpha, r_i ~ L_i / L_i(0).

    As in the paper, a step uses the weights of the last one, L_i(0) is the task's first loss, and Adam is the weights'
    own: LibMTL waits for an epoch, divides by its mean loss, and learns a softmax with the model's optimiser and its
    weight decay. The norms are those of the Gramian, wherever it is taken; the paper takes the last shared layer.

    Args:
        tasks: the run's tasks and their kinds.
        alpha: how hard slow tasks are pushed (the paper: 1.5 on NYUv2, 0.12 on its synthetic tasks).
        learning_rate: of the weights.

    """

    claims: ClassVar = frozenset(
        {
            Claim.CONVEX,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.STRONGLY_STATIONARY,
        }
    )
    scale: ClassVar = "sum"
    needs_gramian = True
    weights: Tensor
    initial: Tensor
    first: Tensor
    second: Tensor
    count: Tensor

    def __init__(self, tasks: Mapping[str, str], alpha: float = 1.5, learning_rate: float = 0.025) -> None:
        super().__init__(tasks)
        if alpha < 0 or not learning_rate > 0:
            raise ValueError(f"`alpha` >= 0 and `learning_rate` > 0 should hold. Found {alpha}, {learning_rate}")
        self.alpha, self.rate = alpha, learning_rate
        self.register_buffer("weights", torch.ones(len(self.tasks)))
        self.register_buffer("initial", torch.full((len(self.tasks),), torch.nan))
        for name in Moments._fields:
            self.register_buffer(name, torch.zeros(len(self.tasks)))

    def forward(self, signals: Signals) -> Tensor:
        """K weights that come to K; they move on for the next step, unless something is not finite."""
        tasks, losses = signals.tasks, signals.losses.float() + 1e-8
        weights = self.weights[tasks]
        initial = torch.where(self.initial[tasks].isnan(), losses, self.initial[tasks])
        norms = signals.require_gramian().diagonal().float().clamp(min=0).sqrt()
        slope = gradnorm_slope(weights, norms, losses / initial, self.alpha)
        if slope.isfinite().all():
            self.initial[tasks] = initial
            moments = Moments(self.first[tasks], self.second[tasks], self.count[tasks])
            step, (self.first[tasks], self.second[tasks], self.count[tasks]) = adam(slope, moments, self.rate)
            moved = (weights + step).clamp(min=1e-4)
            self.weights[tasks] = moved * (weights.sum() / moved.sum())
        return weights * (len(weights) / weights.sum())
