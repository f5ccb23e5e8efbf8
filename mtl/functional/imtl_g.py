"""IMTL-G (Liu et al. 2021, "Towards Impartial Multi-task Learning"): equal projections on every task's gradient."""

import torch
from torch import Tensor

from mtl.functional.gramian import NOISE, equiangular, precise


@precise
def imtl_g(gramian: Tensor) -> Tensor:
    """K weights that come to 1, some perhaps negative, with g_i . d / |g_i| the same for all i.

    A pseudo-inverse on gradients of length one: LibMTL's form inverts a matrix that is singular for parallel
    gradients. nan where the weights cannot come to 1, as for opposite gradients or for none.
    """
    weights = equiangular(gramian)
    total = weights.sum()
    return weights / total if total.abs() > NOISE * weights.abs().sum() else torch.full_like(weights, torch.nan)
