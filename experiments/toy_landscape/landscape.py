"""The two losses of CAGrad's landscape (Liu et al. 2021, appendix), their slopes by hand, and their Pareto set."""

import torch
from torch import Tensor

FLOOR = 5e-6
STARTS = {"a": (-8.5, 7.5), "b": (0.0, 0.0), "c": (9.0, 9.0), "d": (-7.5, -0.5), "e": (9.0, -1.0)}
DRAWN_X2 = -8.3552
"""Where the published figures draw the Pareto set, for x1 from -7 to 7."""


def landscape(x: Tensor, scale: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """Losses (2 x ...) and slopes (2 x ... x 2) at points (... x 2); `scale` multiplies the first task.

    L1 = s (f1 c1 + g1 c2), L2 = f2 c1 + g2 c2: valleys of logarithms f where x2 > 0, paraboloids g where x2 < 0. On
    the line x2 = 0 both halves are off (c = 0) and each has half its slope, as autograd has it for `torch.max(c, 0)`;
    without that the start (0, 0) would never move.
    """
    x1, x2 = x.unbind(-1)
    tanh = x2.tanh()
    upper = 1 - tanh * tanh
    inner = torch.stack((tanh - 3.5 - x1 / 2, 3.5 - tanh - x1 / 2))
    size = inner.abs()
    logs = size.clamp(min=FLOOR).log() + 6
    inverse = torch.where(size > FLOOR, 1 / inner, 0.0)
    logs_slope2 = inverse * torch.stack((upper, -upper))

    offset = torch.stack((x1 - 7, x1 + 7))
    height = x2 + 8
    bowls = (offset * offset + 0.1 * height * height) / 10 - 20

    half = (x2 / 2).tanh()
    on, off = half.clamp(min=0), (-half).clamp(min=0)
    rise = (1 - half * half) / 2
    above = torch.heaviside(x2, torch.full_like(x2[..., :1].flatten()[:1], 0.5))
    on_slope, off_slope = rise * above, rise * (above - 1)

    losses = logs * on + bowls * off
    slope1 = inverse * (-0.5 * on) + offset * (off / 5)
    slope2 = logs_slope2 * on + logs * on_slope + bowls * off_slope + height * (0.02 * off)
    slopes = torch.stack((slope1, slope2), -1)
    losses[0] *= scale
    slopes[0] *= torch.as_tensor(scale)[..., None]
    return losses, slopes


def pareto_x2(x1: Tensor, rounds: int = 60) -> Tensor:
    """The height of the Pareto set over x1 in [-7, 7], by bisection.

    The slopes along x1 cancel for weights in the ratio (x1 + 7) : (7 - x1). What is left along x2 vanishes at -8.355
    over x1 = 0, which is the line the papers draw, and at -8.44 over x1 = ±7: the set is slightly bent.
    """
    share = (x1 + 7) / 14
    low, high = torch.full_like(x1, -9.0), torch.full_like(x1, -8.0)
    for _ in range(rounds):
        middle = (low + high) / 2
        slope = landscape(torch.stack((x1, middle), -1))[1][..., 1]
        uphill = share * slope[0] + (1 - share) * slope[1] > 0
        low, high = torch.where(uphill, low, middle), torch.where(uphill, middle, high)
    return (low + high) / 2
