"""Every loss worth 1, with the gradient of its logarithm: no task's unit matters."""

import torch
from torch import Tensor

from mtl.strategies.transform.base import Transform


class ScaleInvariant(Transform):
    """t(L) = L / L(detached): slope 1 / L, value 1.

    The gradients are those of the scale-invariant baseline of Navon et al. 2022 (sum_i ln L_i) and of `log`, but the
    values stay above zero, which GLS, FAMO and smooth Tchebycheff need. A weighting that looks at values only finds
    all tasks alike. A loss that is not above zero gives nan, which names the task.
    """

    def forward(self, tasks: Tensor, losses: Tensor) -> Tensor:
        """K ones."""
        units = losses.detach()
        return losses / torch.where(units > 0, units, torch.nan)
