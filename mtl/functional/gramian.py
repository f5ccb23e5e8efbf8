"""What the formulas on a Gramian share: float64 on the CPU, gradients of length one, no eigenvalue below the noise."""

from collections.abc import Callable
from functools import wraps
from math import isfinite
from typing import Concatenate, ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")

NOISE = 1e-7
"""Relative precision of a Gramian, which is made of float32 gradients."""


def exact(gramian: Tensor) -> Tensor:
    """In float64 and on the CPU, where K x K is fast and float64 exists."""
    return gramian.detach().to("cpu", torch.float64)


def precise(formula: Callable[Concatenate[Tensor, P], Tensor]) -> Callable[Concatenate[Tensor, P], Tensor]:
    """A formula from a K x K Gramian to K weights, run in float64 on the CPU (no small kernels on a GPU).

    A Gramian with a nan or an infinity gives nan weights, and so does one for which the formula has no answer.
    """

    @wraps(formula)
    def weights(gramian: Tensor, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        small = exact(gramian)
        if not isfinite(small.sum().item()):
            return torch.full_like(gramian.diagonal(), torch.nan)
        return formula(small, *args, **kwargs).to(gramian)

    return weights


def unit(gramian: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and norms of the gradients; a zero gradient has a row of zeros."""
    norms = gramian.diagonal().clamp(min=0).sqrt()
    lengths = torch.where(norms > 0, norms, 1.0)
    cosines = gramian / torch.outer(lengths, lengths)
    return (cosines + cosines.T) / 2, norms


def regular(cosines: Tensor) -> Tensor:
    """The same where it is safely positive definite; else with the noise added to its diagonal, which makes it so."""
    ridge = torch.eye(len(cosines), dtype=cosines.dtype) * (NOISE * len(cosines))
    definite = not torch.linalg.cholesky_ex(cosines - ridge).info
    return cosines if definite else cosines + 2 * ridge


def equiangular(gramian: Tensor) -> Tensor:
    """Weights of the direction whose projection on every gradient is 1, or as near to it as can be: G w = |g|.

    All zero where no direction comes near, as for opposite gradients.
    """
    cosines, norms = unit(gramian)
    values, vectors = torch.linalg.eigh(cosines)
    kept = values > NOISE * len(cosines) * values[-1]
    inverse = torch.where(kept, 1 / values, 0.0)
    weights = (vectors * inverse) @ vectors.sum(0)
    return torch.where((norms > 0) & (weights.abs().max() > 10 * NOISE), weights / norms, 0.0)
