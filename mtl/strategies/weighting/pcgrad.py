"""PCGrad (Yu et al. 2020, algorithm 1): gradient surgery, each gradient projected off those it conflicts with."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from mtl.functional.pcgrad import pcgrad, random_order
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.chance import Chance
from mtl.strategies.weighting.claims import Claim


class PCGrad(Weighting):
    """Sum of the projected gradients, as weights of the original ones: the Gramian holds all that the surgery needs.

    Published codes also project a gradient off itself when its turn comes, which can undo it once rounding has turned
    its sign; here no gradient meets itself.
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

    def __init__(self, tasks: Mapping[str, str]) -> None:
        super().__init__(tasks)
        self.chance = Chance()

    def forward(self, signals: Signals) -> Tensor:
        """K weights, none below 1."""
        order = random_order(len(signals.tasks), self.chance.generator)
        return self.or_equal(pcgrad(signals.require_gramian(), order))
