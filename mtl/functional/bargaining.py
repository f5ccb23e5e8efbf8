"""Bargaining weights: the w > 0 at which each task's gain g_i . d = (G w)_i equals w_i^(-1/alpha).

alpha = 1 is the Nash bargaining solution (Navon et al. 2022, claim 3.1: Nash-MTL), alpha = 2 minimises the potential
delay, alpha -> infinity is max-min (Ban and Ji 2024: FairGrad). The reference codes hand the problem to
ECOS or to `scipy.least_squares`; here it is seen as what it is, the unique minimum of a convex function,
w'Gw/2 - sum ln w_i for alpha = 1, and found by Newton's method, to 1e-8 and without a dependency.
"""

import torch
from torch import Tensor

from mtl.functional.gramian import NOISE, precise

TOLERANCE = 1e-8


@precise
def bargain(gramian: Tensor, alpha: float = 1.0, rounds: int = 100) -> Tensor:
    """K weights; nan where there are none, as for opposite gradients (a Pareto-stationary point).

    The gradients count as opposite if the weighted ones cancel out up to the noise of the Gramian.

    A task with a zero gradient has nothing to bargain for: its weight is 0, unless all are zero (nan).
    """
    present = gramian.diagonal() > 0
    if present.all():
        return newton(gramian, alpha, rounds)
    if not present.any():
        return torch.full_like(gramian.diagonal(), torch.nan)
    weights = torch.zeros_like(gramian.diagonal())
    weights[present] = newton(gramian[present][:, present], alpha, rounds)
    return weights


def newton(gramian: Tensor, alpha: float, rounds: int) -> Tensor:
    """Newton's method with step halving, for v = w / s, where s are the weights that each task would have alone.

    For alpha = 1 that makes every gradient of length 1, so that tasks of any scale look alike.
    """
    scales = gramian.diagonal() ** (-alpha / (1 + alpha))
    matrix = gramian * torch.outer(scales, scales)
    pull = matrix.diagonal().clone()
    power = 1 / alpha
    level = matrix.sum().item() / pull.sum().item()
    values = torch.full_like(pull, level ** (-alpha / (1 + alpha)) if level > 0 else 1.0)
    push = pull * values**-power
    slope = matrix @ values - push
    for _ in range(rounds):
        if (slope.abs() / push).max() < TOLERANCE:
            sizes = values * pull.sqrt()
            cancels = values @ matrix @ values < 10 * NOISE * len(values) * sizes.sum() ** 2
            return values * scales * (torch.nan if cancels else 1.0)
        factor, failed = torch.linalg.cholesky_ex(matrix + torch.diag(power * push / values))
        if failed:
            break
        step = -torch.cholesky_solve(slope[:, None], factor)[:, 0]
        size = min(1.0, 0.9 / max((-step / values).max().item(), 0.1))
        most = -0.5 * (slope @ step).item()
        start = values
        for _ in range(40):
            values = start + size * step
            push = pull * values**-power
            slope = matrix @ values - push
            if (slope @ step).item() <= most:
                break
            size /= 2
    return torch.full_like(values, torch.nan)
