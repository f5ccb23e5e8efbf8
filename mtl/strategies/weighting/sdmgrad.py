"""SDMGrad (Xiao, Ban and Ji 2023): min-norm weights, drawn towards the mean gradient and slow to change."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.gramian import exact
from mtl.functional.sdmgrad import descend
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class SDMGrad(Weighting):
    """(w + pull/K) / (1 + pull), where w takes a few projected steps down |J'(w + pull/K)|^2 from where it was.

    The paper estimates the slope from two independent batches and applies the weights to a third; here one Gramian
    serves, as it does in the official code, whose three buffers are one. The Gramian is divided by the squared mean
    norm, as in both codes.

    Args:
        tasks: the run's tasks and their kinds.
        pull: lambda.
        rate: step size on w (10 in the official code, 5 in LibMTL).
        momentum: of the steps within one call.
        steps: of them.

    """

    claims: ClassVar = frozenset(
        {
            Claim.CONVEX,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.STRONGLY_STATIONARY,
        }
    )
    needs_gramian = True
    weights: Tensor

    def __init__(
        self, tasks: Mapping[str, str], pull: float = 0.3, rate: float = 10.0, momentum: float = 0.5, steps: int = 20
    ) -> None:
        super().__init__(tasks)
        if pull < 0 or not rate > 0 or not 0 <= momentum < 1 or steps < 1:
            found = f"{pull}, {rate}, {momentum}, {steps}"
            raise ValueError(
                f"`pull` >= 0, `rate` > 0, 0 <= `momentum` < 1 and `steps` >= 1 should hold. Found {found}"
            )
        self.pull, self.rate, self.momentum, self.steps = pull, rate, momentum, steps
        self.register_buffer("weights", torch.full((len(self.tasks),), 1 / len(self.tasks), dtype=torch.float64))

    def forward(self, signals: Signals) -> Tensor:
        """K weights that come to 1; the K tasks keep what they have together in the run's simplex."""
        gramian, old = exact(signals.require_gramian()), exact(self.weights[signals.tasks])
        if not gramian.isfinite().all():
            return self.or_equal(torch.full_like(signals.losses, torch.nan))
        total = old.sum()
        start = old / total if total > 0 else torch.full_like(old, 1 / len(old))
        new = descend(gramian, start, self.pull, self.rate, self.momentum, self.steps)
        self.weights[signals.tasks] = (new * total).to(self.weights)
        return ((new + self.pull / len(new)) / (1 + self.pull)).to(signals.require_gramian())
