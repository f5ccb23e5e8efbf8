"""Gradient sign dropout (Chen et al. 2020): at each coordinate, the gradients of one sign pass, drawn by purity."""

import torch
from torch import Tensor

from mtl.functional.pieces import pieces


def drop_signs(jacobian: Tensor, uniform: Tensor, leaks: Tensor) -> tuple[Tensor, Tensor]:
    """N coordinates of sum_i (l_i + (1 - l_i) M_i) g_i, and K squares of what passes, |M_i g_i|^2.

    The purity P = (1 + sum g / sum |g|) / 2 (equation 1) is the chance that the positive ones pass, else the negative
    ones do (algorithm 1, lines 10 to 15, with f(p) = p). P > u where the point that lies u of the way from the sum of
    the positive ones down to that of the negative ones is above 0. At a coordinate without gradient nothing passes.

    Args:
        jacobian: K x N.
        uniform: N numbers u of [0, 1).
        leaks: K numbers l of [0, 1].
    """
    direction, squares, ones = torch.empty_like(uniform), torch.zeros_like(leaks), torch.ones_like(leaks)
    for rows, draws, out in pieces(jacobian, uniform, direction):
        positive = rows.clamp(min=0)
        negative = positive - rows
        up = torch.lerp(ones @ positive, -(ones @ negative), draws).gt_(0)  # 1 or 0: booleans take 3 times as long
        sizes = torch.lerp(negative, positive, up)
        torch.mul(up.mul_(2).sub_(1), (1 - leaks) @ sizes, out=out)
        squares += torch.linalg.vecdot(sizes, sizes)
    if leaks.any():
        direction.addmv_(jacobian.T, leaks)
    return direction, squares
