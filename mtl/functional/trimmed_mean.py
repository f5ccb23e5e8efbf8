"""Coordinate-wise trimmed mean (Yin et al. 2018): at each coordinate, the mean without the extremes."""

import torch
from torch import Tensor


def middle(jacobian: Tensor, outliers: int) -> Tensor:
    """K x N booleans: at each of N coordinates, all but the `outliers` greatest and least of K (definition 2)."""
    K = len(jacobian)
    kept = jacobian.argsort(0)[outliers : K - outliers]
    return torch.zeros_like(jacobian, dtype=torch.bool).scatter_(0, kept, True)
