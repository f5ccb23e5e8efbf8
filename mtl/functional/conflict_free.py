"""ConFIG (Liu, Chu and Thuerey 2024, equation 2): equal projections on every gradient, and a length of its own."""

import torch
from torch import Tensor

from mtl.functional.gramian import equiangular, precise


@precise
def conflict_free(gramian: Tensor) -> Tensor:
    """K weights of the direction with U d = 1 (least squares; U are the gradients at length one).

    Its length is sum_i g_i . d / |d|. Zero where there is no such direction, as for opposite gradients. The reference
    code takes the pseudo-inverse of U; the Gramian has all that is needed.
    """
    weights = equiangular(gramian)
    products = gramian @ weights
    square = (weights @ products).clamp(min=0)
    return torch.where(square > 0, weights * products.sum() / square, 0.0)
