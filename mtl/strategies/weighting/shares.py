"""The weights to record of a direction that is no weighted sum of the gradients."""

import torch
from torch import Tensor


def shares(added: Tensor, jacobian: Tensor, of_zero: float) -> Tensor:
    """K numbers c.g / g.g: how much of each gradient g is in what its task added to the direction, c.

    Args:
        added: K x N.
        jacobian: K x N.
        of_zero: the share of a gradient of zero.
    """
    size = jacobian.abs().amax(1, keepdim=True)  # squares of small numbers would vanish
    lengths = torch.where(size > 0, size, 1.0)
    unit = jacobian / lengths
    squares = unit.square().sum(1)
    found = (added / lengths * unit).sum(1) / torch.where(squares > 0, squares, 1.0)
    return torch.where(squares > 0, found, of_zero)
