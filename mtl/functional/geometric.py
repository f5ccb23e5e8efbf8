"""The geometric mean of losses (Chennupati et al. 2019) as weights: its slope in each of them."""

import torch
from torch import Tensor


def geometric(losses: Tensor) -> Tensor:
    """(prod L)^(1/K) / (K L_i): then w_i L_i is the same for all. LibMTL logs its inverse in L_i.

    A loss of zero counts as the smallest float; a negative one gives nan.
    """
    logs = (losses + torch.finfo(losses.dtype).tiny).log()
    return (logs.mean() - logs).exp() / len(losses)
