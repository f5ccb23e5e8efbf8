"""The simplex: vectors without a negative entry that sum to one."""

import torch
from torch import Tensor


def project(vector: Tensor) -> Tensor:
    """The nearest point of the simplex (Held, Wolfe and Crowder 1974): shift all entries, cut at zero."""
    sums = vector.sort(descending=True).values.cumsum(0)
    counts = torch.arange(1, len(vector) + 1, dtype=vector.dtype, device=vector.device)
    return (vector - ((sums - 1) / counts).max()).clamp(min=0)
