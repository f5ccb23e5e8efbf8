"""SDMGrad (Xiao, Ban and Ji 2023): min-norm weights, drawn towards the mean gradient, by a few steps."""

import torch
from torch import Tensor

from mtl.functional.simplex import project


def descend(gramian: Tensor, weights: Tensor, pull: float, rate: float, momentum: float, steps: int) -> Tensor:
    """Projected descent of |J'(w + pull/K)|^2 / 2 over the simplex, from where the last step of training ended."""
    scale = gramian.diagonal().clamp(min=0).sqrt().mean() ** 2
    if not scale > 0:
        return weights
    normal, velocity = gramian / scale, torch.zeros_like(weights)
    constant = normal.mean(1) * pull
    for _ in range(steps):
        velocity = torch.addmv(constant, normal, weights).add(velocity, alpha=momentum)
        weights = project(weights.sub(velocity, alpha=rate))
    return weights
