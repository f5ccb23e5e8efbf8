"""The logarithm of each loss (Lin et al. 2023, DB-MTL, section 3.1): what counts is the relative change."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.strategies.transform.base import Transform


class Log(Transform):
    """t(L) = ln(L + eps), slope 1 / (L + eps). Losses must be above -eps: nan elsewhere, which names the task.

    With equal weights this is the scale-invariant baseline of Navon et al. 2022 (SI). The other half of DB-MTL, which
    brings all gradients to the largest's norm, is `weighting=db_mtl`.

    Args:
        tasks: the run's tasks and their kinds.
        eps: added to the loss (LibMTL's 1e-8).

    """

    def __init__(self, tasks: Mapping[str, str], eps: float = 1e-8) -> None:
        super().__init__(tasks)
        if eps < 0:
            raise ValueError(f"`eps` should not be negative. Found {eps}")
        self.eps = eps

    def forward(self, tasks: Tensor, losses: Tensor) -> Tensor:
        """K logarithms."""
        shifted = losses + self.eps
        return torch.where(shifted > 0, shifted.clamp(min=torch.finfo(losses.dtype).tiny).log(), torch.nan)
