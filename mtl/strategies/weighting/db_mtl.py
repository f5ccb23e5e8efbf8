"""DB-MTL's gradient-magnitude balancing (Lin et al. 2023): every gradient is brought to the length of the longest."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class DBMTL(Weighting):
    """w_k = max_j n_j / n_k, with n_k a moving mean of the norm |g_k|: n <- b n + (1 - b) |g|, b = beta / count^sigma.

    The other half of DB-MTL is the logarithm of each loss: `transform=log`. The paper averages the gradients
    themselves, T vectors as long as the trunk; a Gramian knows norms alone, so here it is these that are averaged. With
    beta = 0 the two are one. LibMTL begins its mean at zero, here it is the task's first norm, so that a task which
    joins later is not taken for a short one. A gradient that is and was zero has weight 1.

    Args:
        tasks: the run's tasks and their kinds.
        beta: share of the past, from 0 (each step alone) to below 1.
        sigma: how fast that share falls with the task's steps; 0: it stays.

    """

    claims: ClassVar = frozenset(
        {
            Claim.NONNEGATIVE,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.TASK_SCALE_INVARIANT,
            Claim.STRONGLY_STATIONARY,
        }
    )
    scale: ClassVar = "sum"
    needs_gramian = True
    norms: Tensor
    count: Tensor

    def __init__(self, tasks: Mapping[str, str], beta: float = 0.9, sigma: float = 0.0) -> None:
        super().__init__(tasks)
        if not 0 <= beta < 1 or sigma < 0:
            raise ValueError(f"0 <= `beta` < 1 and `sigma` >= 0 should hold. Found {beta}, {sigma}")
        self.beta, self.sigma = beta, sigma
        for name in ("norms", "count"):
            self.register_buffer(name, torch.zeros(len(self.tasks)))

    def forward(self, signals: Signals) -> Tensor:
        """K weights, all at least 1."""
        tasks = signals.tasks
        found = signals.require_gramian().diagonal().float().clamp(min=0).sqrt()
        if not found.isfinite().all():
            return self.or_equal(torch.full_like(found, torch.nan))
        self.count[tasks] += 1
        past = torch.where(self.count[tasks] == 1, 0.0, self.beta / self.count[tasks] ** self.sigma)
        norms = past * self.norms[tasks] + (1 - past) * found
        self.norms[tasks] = norms
        return torch.where(norms > 0, norms.max() / norms, 1.0)
