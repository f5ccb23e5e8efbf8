"""The weights to record of a direction that is no weighted sum of the gradients."""

import torch
from torch import Tensor


def shares(products: Tensor, squares: Tensor, of_zero: float) -> Tensor:
    """K numbers c.g / g.g: how much of each gradient g is in what its task added to the direction, c.

    Args:
        products: K inner products c.g.
        squares: K squared norms g.g.
        of_zero: the share of a gradient of zero.
    """
    return torch.where(squares > 0, products / squares, of_zero)
