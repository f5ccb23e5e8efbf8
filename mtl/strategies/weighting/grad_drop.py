"""GradDrop (Chen et al. 2020): at each coordinate, only gradients of one sign pass, drawn by how pure the sign is."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mtl.functional.grad_drop import drop_signs
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.chance import Chance
from mtl.strategies.weighting.claims import Claim
from mtl.strategies.weighting.shares import shares
from mtl.strategies.weighting.vectors import Weights, vector


class GradDrop(Weighting):
    """sum_i (l_i + (1 - l_i) M_i) g_i, with M_i the coordinates at which g_i has the sign that was drawn, l_i the leak.

    Each coordinate of `gradients=shared` or `features` draws for itself (algorithm 1, lines 10 to 15, as TorchJD has
    it). The paper puts it at the features, takes the sign as against the activation's and one draw for the whole batch
    (lines 3 to 9), and LibMTL can do that alone; that asks for the activations, and for a batch that all tasks share.

    Args:
        tasks: the run's tasks and their kinds.
        leak: of each task, or one of all: the part of its gradient that always passes, from 0 (the paper's default in
            equation 2) to 1 (a plain sum).

    """

    claims: ClassVar = frozenset({Claim.NONNEGATIVE, Claim.PERMUTATION_EQUIVARIANT, Claim.SCALE_INVARIANT})
    scale: ClassVar = "sum"
    needs_gramian = True
    needs_jacobian = True

    def __init__(self, tasks: Mapping[str, str], leak: float | Weights = 0.0) -> None:
        super().__init__(tasks)
        even = isinstance(leak, int | float)
        leaks = torch.full((len(self.tasks),), float(leak)) if even else vector(self.tasks, leak, "leak")
        if not ((leaks >= 0) & (leaks <= 1)).all():
            raise ValueError(f"`leak` should be from 0 to 1. Found {leak}")
        self.register_buffer("leaks", leaks, persistent=False)
        self.leaks: Tensor
        self.chance = Chance()

    def combine(self, signals: Signals) -> tuple[Tensor, Tensor]:
        """K shares of the gradients that passed, and what passed of all."""
        rows, squares = signals.require_jacobian(), signals.require_gramian().diagonal()
        uniform = torch.rand(rows.shape[1], generator=self.chance.generator).to(rows.device)
        leaks = self.leaks[signals.tasks]
        direction, passed = drop_signs(rows, uniform, leaks)
        return leaks + (1 - leaks) * shares(passed, squares, 1.0), direction
