"""Gradient vaccine (Wang et al. 2021): gradients are turned towards each other up to their usual cosine."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.gradvac import gradvac
from mtl.functional.gramian import exact
from mtl.functional.pcgrad import random_order
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.chance import Chance
from mtl.strategies.weighting.claims import Claim


class GradVac(Weighting):
    """Like PCGrad with a target cosine for each pair in place of 0; the target is a moving average of what was seen.

    One target a pair for all shared parameters (the paper's whole-model granularity; it also has one a layer).

    Args:
        tasks: the run's tasks and their kinds.
        beta: share of the new cosine in the average (LibMTL's 0.5; the paper's translation runs use 0.01).

    """

    claims: ClassVar = frozenset(
        {
            Claim.NONNEGATIVE,
            Claim.SCALE_INVARIANT,
            Claim.STRONGLY_STATIONARY,
        }
    )
    scale: ClassVar = "sum"
    needs_gramian = True
    targets: Tensor

    def __init__(self, tasks: Mapping[str, str], beta: float = 0.5) -> None:
        super().__init__(tasks)
        if not 0 <= beta <= 1:
            raise ValueError(f"`beta` should be from 0 to 1. Found {beta}")
        self.beta = beta
        self.register_buffer("targets", torch.zeros(len(self.tasks), len(self.tasks)))
        self.chance = Chance()

    def forward(self, signals: Signals) -> Tensor:
        """K weights, none below 1; the targets of the step's pairs move on, unless the Gramian is not finite."""
        gramian = exact(signals.require_gramian())
        order = random_order(len(gramian), self.chance.generator)
        pairs = signals.tasks[:, None], signals.tasks
        if not gramian.isfinite().all():
            return self.or_equal(torch.full_like(signals.losses, torch.nan))
        weights, targets = gradvac(gramian, order, exact(self.targets[pairs]), self.beta)
        self.targets[pairs] = targets.to(self.targets)
        return weights.to(signals.require_gramian())
