"""MGDA (Sener and Koltun 2018, equation 3): the convex combination of the gradients with the smallest norm."""

import torch
from torch import Tensor

from mtl.functional.gramian import precise, regular, unit
from mtl.functional.quadratic import nonnegative


@precise
def min_norm(gramian: Tensor) -> Tensor:
    """Exactly: w of the simplex with the smallest w'Gw.

    With s = sum v and v = s w, min over v >= 0 of v'(G + 11')v/2 - 1'v is reached at the same w, so that one solver
    without an equality serves. Alike gradients share their weight; a zero gradient takes it all.
    """
    cosines, norms = unit(gramian)
    lengths = norms.clamp(min=1e-8 * norms.max().item() or 1.0)
    ratios = lengths.min() / lengths
    weights = nonnegative(regular(cosines) + torch.outer(ratios, ratios), -ratios[None])[0] * ratios
    return weights / weights.sum()


@precise
def frank_wolfe(gramian: Tensor, rounds: int = 250, tolerance: float = 1e-5) -> Tensor:
    """Nearly: Frank-Wolfe with exact line search from equal weights (algorithm 2), towards the steepest corner."""
    weights = torch.full_like(gramian.diagonal(), 1 / len(gramian))
    for _ in range(rounds):
        products = gramian @ weights
        corner = int(products.argmin())
        here, across, there = (weights @ products).item(), products[corner].item(), gramian[corner, corner].item()
        if here <= across:
            break
        share = min(1.0, (here - across) / (here + there - 2 * across))
        weights = (1 - share) * weights
        weights[corner] += share
        if share < tolerance:
            break
    return weights
