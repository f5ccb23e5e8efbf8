"""Aligned-MTL (Senushkin et al. 2023, algorithm 1): the gradients' principal components, all of the smallest's size."""

import torch
from torch import Tensor

from mtl.functional.gramian import NOISE, precise


@precise
def aligned_mtl(gramian: Tensor) -> Tensor:
    """Row sums of sqrt(lambda_min) V Lambda^(-1/2) V', without components below the noise; 1 for a zero Gramian."""
    values, vectors = torch.linalg.eigh(gramian)
    kept = values > NOISE * len(values) * values[-1]
    if not kept.any():
        return torch.ones_like(values)
    shrink = torch.where(kept, values[kept][0] / values, 0.0).sqrt()
    return (vectors * shrink) @ vectors.sum(0)
