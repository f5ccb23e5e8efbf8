"""CAGrad (Liu et al. 2021): the best worst task within a ball of radius c |g_0| around the mean gradient."""

import torch
from torch import Tensor

from mtl.functional.gramian import precise, regular, unit
from mtl.functional.quadratic import nonnegative


@precise
def cagrad(gramian: Tensor, c: float = 0.4, rounds: int = 60) -> Tensor:
    """1/K + v, where v = c |g_0| w / |g_w| and w of the simplex minimises g_w . g_0 + c |g_0| |g_w|.

    v solves min v'Gv/2 + (q - level)'v over v >= 0 with q_i = g_i . g_0, at the level at which |g_v| = c |g_0|. That
    length grows with the level (its square is convex, and quadratic while the same tasks are in), so the level is
    found by solving for it with the tasks of the last guess, inside a bracket. Where the best w has g_w = 0 the
    direction is g_0, as in the reference code.
    """
    cosines, norms = unit(gramian)
    mean = torch.full_like(norms, 1 / len(norms))
    radius = c * (mean @ gramian @ mean).clamp(min=0).sqrt().item()
    largest = norms.max().item()
    if not radius > 1e-7 * largest:
        return mean
    lengths = norms.clamp(min=1e-8 * largest)
    ratios = lengths.min() / lengths
    hessian = regular(cosines)
    pulls = hessian @ (lengths * mean) / radius
    low, high = (pulls / ratios).min().item(), ((pulls + 1) / ratios).min().item()
    level = high
    for _ in range(rounds):
        values = nonnegative(hessian, (pulls - level * ratios)[None])[0]
        length = (values @ hessian @ values).item()
        if abs(length - 1) < 1e-9:
            break
        low, high = (low, level) if length > 1 else (level, high)
        root = level_of(hessian, pulls, ratios, values > 0)
        level = root if low < root < high else (low + high) / 2
    else:
        return torch.full_like(mean, torch.nan)
    if values @ cosines @ values < 0.25:
        return mean
    return mean + radius * values / lengths


def level_of(hessian: Tensor, pulls: Tensor, ratios: Tensor, inside: Tensor) -> float:
    """The level at which v of these tasks alone has length 1: the larger root of a quadratic; nan without tasks."""
    if not inside.any():
        return torch.nan
    rows = torch.stack((ratios[inside], pulls[inside]))
    (square, linear), (_, rest) = (rows @ torch.linalg.solve_ex(hessian[inside][:, inside], rows.T)[0]).tolist()
    return (linear + max(linear**2 - square * (rest - 1), 0.0) ** 0.5) / square
