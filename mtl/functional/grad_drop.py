"""Gradient sign dropout (Chen et al. 2020): at each coordinate, the gradients of one sign pass, drawn by purity."""

import torch
from torch import Tensor


def sign_masks(jacobian: Tensor, uniform: Tensor) -> Tensor:
    """K x N booleans: which of K gradients pass at each of N coordinates (algorithm 1, lines 10 to 15, with f(p) = p).

    The purity P = (1 + sum g / sum |g|) / 2 (equation 1) is the chance that the positive ones pass, else the negative
    ones do; at a coordinate without gradient nothing passes.

    Args:
        jacobian: K x N.
        uniform: N numbers of [0, 1).
    """
    sizes = jacobian.abs().sum(0)
    purity = torch.where(sizes > 0, (1 + jacobian.sum(0) / sizes) / 2, 0.5)
    return ((purity > uniform) & (jacobian > 0)) | ((purity <= uniform) & (jacobian < 0))
