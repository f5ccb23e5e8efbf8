"""The objective of COSMOS (Ruchte and Grabocka 2021) as weights: its slope in each loss."""

import torch
from torch import Tensor


def cosmos(losses: Tensor, preference: Tensor, penalty: float) -> Tensor:
    """Slope of sum_i r_i L_i - penalty cos(r, L) in the K losses; where all losses are zero, r alone."""
    length = losses.norm()
    if not length > 0:
        return preference
    towards, along = preference / preference.norm(), losses / length
    return preference - penalty * (towards - torch.dot(towards, along) * along) / length
