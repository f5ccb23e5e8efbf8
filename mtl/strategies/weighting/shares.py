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
    squares = torch.linalg.vecdot(jacobian, jacobian)
    return torch.where(squares > 0, torch.linalg.vecdot(added, jacobian) / squares, of_zero)
