"""MGDA (Desideri 2012; Sener and Koltun 2018): the convex combination of the gradients with the smallest norm."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from mtl.functional.gramian import exact
from mtl.functional.mgda import frank_wolfe, min_norm
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim


class MGDA(Weighting):
    """Weights of the simplex with the smallest |sum_i w_i g_i / n_i|.

    The weights go to the gradients as they are: n serves to find them only, as in Sener and Koltun's code. LibMTL
    applies them to g_i / n_i unless it takes gradients at the representation.

    Args:
        tasks: the run's tasks and their kinds.
        normalize: n_i: `none` 1, `l2` |g_i|, `loss` L_i, `loss+` L_i |g_i|.
        solver: `exact`, or the paper's `frank_wolfe`, which stops early.

    """

    claims: ClassVar = frozenset(
        {
            Claim.CONVEX,
            Claim.PERMUTATION_EQUIVARIANT,
            Claim.SCALE_INVARIANT,
            Claim.NON_CONFLICTING,
        }
    )
    needs_gramian = True

    def __init__(
        self,
        tasks: Mapping[str, str],
        normalize: Literal["none", "l2", "loss", "loss+"] = "none",
        solver: Literal["exact", "frank_wolfe"] = "exact",
    ) -> None:
        super().__init__(tasks)
        if normalize not in ("none", "l2", "loss", "loss+"):
            raise ValueError(f"`normalize` should be none, l2, loss or loss+. Found '{normalize}'")
        if solver not in ("exact", "frank_wolfe"):
            raise ValueError(f"`solver` should be exact or frank_wolfe. Found '{solver}'")
        self.normalize, self.solver = normalize, solver

    def forward(self, signals: Signals) -> Tensor:
        """K weights that come to 1."""
        gramian = signals.require_gramian()
        if self.normalize != "none":
            gramian = exact(gramian)
            sizes = torch.ones_like(gramian.diagonal())
            if self.normalize in ("l2", "loss+"):
                sizes *= gramian.diagonal().clamp(min=0).sqrt()
            if self.normalize in ("loss", "loss+"):
                sizes *= exact(signals.losses)
            sizes = torch.where(sizes > 0, sizes, 1.0)
            gramian = gramian / torch.outer(sizes, sizes)
        solve = min_norm if self.solver == "exact" else frank_wolfe
        return self.or_equal(solve(gramian).to(signals.require_gramian()))
