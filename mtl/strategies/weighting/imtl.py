"""IMTL (Liu et al. 2021, algorithm 1): the hybrid of IMTL-G for the shared part and IMTL-L for the losses' scale."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtl.functional.imtl_g import imtl_g
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class IMTL(Weighting):
    """w_i = a_i exp(s_i), with a the weights of IMTL-G for the scaled losses exp(s_i) L_i; s learns as in IMTL-L.

    Where IMTL-G has no weights, the last a stay, equal ones in the first step; counted.
    Tables name IMTL-G what LibMTL runs under the name IMTL: this hybrid is LibMTL's.

    Args:
        tasks: the run's tasks and their kinds.
        learning_rate: of s, which starts at 0.

    """

    claims: ClassVar = frozenset(
        {
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
        }
    )
    needs_gramian = True

    def __init__(self, tasks: Mapping[str, str], learning_rate: float = 0.025) -> None:
        super().__init__(tasks)
        if not learning_rate > 0:
            raise ValueError(f"`learning_rate` should be positive. Found {learning_rate}")
        self.learning_rate = learning_rate
        self.register_buffer("last", torch.full((len(self.tasks),), torch.nan))
        self.log_scales = nn.Parameter(torch.zeros(len(self.tasks)))

    def forward(self, signals: Signals) -> Tensor:
        """K weights, without gradient: s learns through the penalty."""
        scales = self.log_scales.detach()[signals.tasks].exp()
        return scales * self.or_last(signals, imtl_g(signals.require_gramian() * torch.outer(scales, scales)))

    def penalty(self, signals: Signals) -> Tensor:
        """Minus the sum of s_i, with the slope exp(s_i) L_i - 1 in each s_i."""
        logs = self.log_scales[signals.tasks]
        scaled = logs.exp() * signals.losses
        return (scaled - scaled.detach() - logs).sum()
