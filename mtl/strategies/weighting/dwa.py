"""Dynamic weight average (Liu, Johns and Davison 2019, equation 7): tasks whose loss falls slowly count more."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim
from mtl.strategies.weighting.epochs import EpochMeans


class DynamicWeightAverage(Weighting):
    """w = K softmax(r / T), r_i = mean loss of the last epoch over that of the one before; 1 until there are two.

    The paper's form, with epoch averages, as in LibMTL. The codes of Nash-MTL and its descendants divide the means of
    two windows of 25 steps: another method under the same name, and not this one. `epoch` has to move: a run that
    counts steps only keeps equal weights.

    Args:
        tasks: the run's tasks and their kinds.
        temperature: T; the higher, the more equal.

    """

    claims: ClassVar = frozenset(
        {Claim.CONVEX, Claim.PERMUTATION_EQUIVARIANT, Claim.UNIT_FREE, Claim.STRONGLY_STATIONARY}
    )
    scale: ClassVar = "sum"

    def __init__(self, tasks: Mapping[str, str], temperature: float = 2.0) -> None:
        super().__init__(tasks)
        if not temperature > 0:
            raise ValueError(f"`temperature` should be positive. Found {temperature}")
        self.temperature = temperature
        self.means = EpochMeans(len(self.tasks))

    def forward(self, signals: Signals) -> Tensor:
        """K weights that come to K; a task without two epochs behind it counts as one whose loss stays."""
        self.means.update(signals)
        rates = (self.means.last / self.means.before)[signals.tasks]
        rates = torch.where(rates.isfinite(), rates, 1.0)
        return len(rates) * torch.softmax(rates / self.temperature, dim=0)
