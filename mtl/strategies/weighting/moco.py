"""MoCo (Fernando et al. 2023): min-norm weights of gradients that are tracked over the steps, not of noisy ones."""

from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from mtl.functional.simplex import project
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim

Update = Literal["projection", "softmax"]


class MoCo(Weighting):
    """The direction sum_i w_i y_i, where y_i tracks the gradient of a task and w moves towards least norm.

    Algorithm 1: y <- y - beta_k (y - g) and w <- P(w - gamma_k (Y Y' + rho I) w), with P the projection onto the
    simplex and step sizes that fall as k^-decay. As in the codes of the authors and of LibMTL, y and w move before the
    step that they are used in, and y is not kept inside a ball. Those codes take a softmax in place of P, which stays
    near equal weights, and make each gradient as long as its loss: `update=softmax rescale=true` is theirs. Here k
    counts the steps that a task took part in; the K tasks of a step keep what they have together in the run's simplex.

    The tracked gradients are T times as large as what is shared, and so is their part of a checkpoint.

    Args:
        tasks: the run's tasks and their kinds.
        beta: step size of y (0.5 in LibMTL, as all that follow).
        beta_decay: its decay.
        gamma: step size of w.
        gamma_decay: its decay.
        rho: pull of w towards equal weights.
        update: `projection` (the paper) or `softmax` (the codes).
        rescale: each gradient becomes as long as its loss.

    """

    claims: ClassVar = frozenset({Claim.CONVEX, Claim.PERMUTATION_EQUIVARIANT})
    needs_gramian = True
    needs_jacobian = True
    same_coordinates = True
    weights: Tensor
    count: Tensor

    def __init__(
        self,
        tasks: Mapping[str, str],
        beta: float = 0.5,
        beta_decay: float = 0.5,
        gamma: float = 0.1,
        gamma_decay: float = 0.5,
        rho: float = 0.0,
        update: Update = "projection",
        rescale: bool = False,
    ) -> None:
        super().__init__(tasks)
        if not 0 < beta <= 1 or gamma < 0 or rho < 0 or beta_decay < 0 or gamma_decay < 0:
            found = f"{beta}, {gamma}, {rho}, {beta_decay}, {gamma_decay}"
            raise ValueError(
                "0 < `beta` <= 1, `gamma` >= 0, `rho` >= 0, `beta_decay` >= 0 and `gamma_decay` >= 0 should hold. "
                f"Found {found}"
            )
        if update not in get_args(Update):
            raise ValueError(f"`update` should be {' or '.join(get_args(Update))}. Found '{update}'")
        self.beta, self.beta_decay, self.gamma, self.gamma_decay = beta, beta_decay, gamma, gamma_decay
        self.rho, self.update, self.rescale = rho, update, rescale
        T = len(self.tasks)
        self.register_buffer("weights", torch.full((T,), 1 / T))
        self.register_buffer("count", torch.zeros(T))
        self.tracked = torch.zeros(T, 0)
        """y, T x N; N is known from the first step on."""

    def combine(self, signals: Signals) -> tuple[Tensor, Tensor]:
        """K weights that come to 1, and the direction."""
        tasks, rows = signals.tasks, signals.require_jacobian()
        if self.rescale:
            norms = rows.norm(dim=1, keepdim=True)
            rows = rows * (signals.losses.float()[:, None] / (norms + 1e-8))
        if not self.tracked.numel():
            self.tracked = rows.new_zeros(len(self.tasks), rows.shape[1])
        self.count[tasks] += 1
        rates = self.beta / self.count[tasks] ** self.beta_decay
        for place, row, rate in zip(tasks.tolist(), rows, rates.tolist(), strict=True):
            self.tracked[place].lerp_(row, rate)  # in place: T gradients are too much to copy in every step
        all_in_order = torch.equal(tasks, torch.arange(len(self.tracked), device=tasks.device))
        tracked = self.tracked if all_in_order else self.tracked[tasks]
        weights = self._moved(tasks, tracked @ tracked.T)
        return weights, weights @ tracked

    def _moved(self, tasks: Tensor, gramian: Tensor) -> Tensor:
        """K weights that come to 1."""
        total = self.weights[tasks].sum()
        old = self.weights[tasks] / total if total > 0 else torch.full_like(self.weights[tasks], 1 / len(tasks))
        rate = self.gamma / self.count[tasks].max() ** self.gamma_decay
        moved = old - rate * (gramian @ old + self.rho * old)
        new = project(moved) if self.update == "projection" else moved.softmax(0)
        self.weights[tasks] = new * total
        return new

    def get_extra_state(self) -> Tensor:
        """The tracked gradients, for `state_dict`: a buffer would have to be of one size from the start."""
        return self.tracked

    def set_extra_state(self, state: Tensor) -> None:
        """From `load_state_dict`."""
        self.tracked = state.to(self.weights.device, copy=True)
