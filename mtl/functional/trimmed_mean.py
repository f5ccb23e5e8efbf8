"""Coordinate-wise trimmed mean (Yin et al. 2018): at each coordinate, the mean without the extremes."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from mtl.functional.pieces import pieces


def trimmed_mean(jacobian: Tensor, outliers: int) -> tuple[Tensor, Tensor]:
    """The mean of all but the b greatest and least of K at each of N coordinates (definition 2), and K products c.g.

    c is what a gradient g adds to the mean. Values that tie with the greatest or least one that is left all count as
    left, each for an equal part.

    Args:
        jacobian: K x N.
        outliers: b, less than K / 2.
    """
    mean, products = torch.empty_like(jacobian[0]), torch.zeros_like(jacobian[:, 0])
    ones = torch.ones_like(products)
    for rows, out in pieces(jacobian, mean):
        left = middle(rows.unbind(), outliers)
        torch.div(reduce(torch.add, left), len(left), out=out)
        within = rows.clamp(reduce(torch.minimum, left), reduce(torch.maximum, left)).eq_(rows)  # numbers, 1 or 0
        parts = (ones @ within).reciprocal_()
        products += within.mul_(rows).mul_(rows) @ parts
    return mean, products


def middle(rows: Sequence[Tensor], outliers: int) -> list[Tensor]:
    """K - 2 b rows that hold, coordinate by coordinate, what K rows have but for the b greatest and the b least.

    The greatest of what is left moves to the last place, the least to the first, b times: O(b K) comparisons, and not
    a sort of K numbers at each coordinate.
    """
    left = list(rows)
    for _ in range(outliers):
        for place in range(len(left) - 1):
            _order(left, place)
        left.pop()
        for place in reversed(range(len(left) - 1)):
            _order(left, place)
        left.pop(0)
    return left


def _order(rows: list[Tensor], place: int) -> None:
    """The lesser values of two neighbours go to the first, the greater ones to the second."""
    first, second = rows[place : place + 2]
    rows[place : place + 2] = torch.minimum(first, second), torch.maximum(first, second)
