"""Random loss weighting (Lin et al. 2022, algorithm 2): fresh random weights in every step."""

from collections.abc import Mapping
from typing import ClassVar, get_args

from torch import Tensor

from mtl.functional.random_weights import Distribution, random_weights
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.chance import Chance
from mtl.strategies.weighting.claims import Claim


class RandomLossWeighting(Weighting):
    """Weights that come to 1 (LibMTL; the codes of Nash-MTL and its descendants multiply by K).

    Args:
        tasks: the run's tasks and their kinds.
        distribution: `normal` or `uniform` (their softmax), `dirichlet`, `bernoulli` or `one_hot`.

    """

    claims: ClassVar = frozenset({Claim.CONVEX, Claim.SCALE_INVARIANT, Claim.UNIT_FREE})

    def __init__(self, tasks: Mapping[str, str], distribution: Distribution = "normal") -> None:
        super().__init__(tasks)
        if distribution not in get_args(Distribution):
            raise ValueError(f"`distribution` should be {', '.join(get_args(Distribution))}. Found '{distribution}'")
        self.distribution: Distribution = distribution
        self.chance = Chance()

    def forward(self, signals: Signals) -> Tensor:
        """K fresh weights."""
        return random_weights(len(signals.tasks), self.distribution, self.chance.generator).to(signals.losses.device)
