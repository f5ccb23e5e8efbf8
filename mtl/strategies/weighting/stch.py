"""Smooth Tchebycheff scalarisation (Lin et al. 2024): the worse a task, the more it counts."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor

from mtl.functional.tchebycheff import smooth_tchebycheff
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim
from mtl.strategies.weighting.epochs import Reference
from mtl.strategies.weighting.vectors import Weights, simplex


class SmoothTchebycheff(Weighting):
    """The slope of mu ln sum_i exp(lambda_i F_i / mu), in one of two forms.

    `plain` is the paper's formula, F_i = L_i. `log` is the authors' code for multi-task learning: F_i = ln(L_i / n_i)
    with n_i the mean loss of the epoch `warmup`; weights 1 / L_i until then. That code times the loss by K; here the
    weights of alike tasks are a mean. Log losses must be > 0.

    Args:
        tasks: the run's tasks and their kinds.
        mu: the smaller, the nearer to the worst task alone.
        form: `log` or `plain`.
        warmup: epochs before the one in which n is measured.
        preference: lambda / T, on the simplex: by task name or in the order of the tasks; `None`: equal, lambda = 1.

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
    scales: Tensor

    def __init__(
        self,
        tasks: Mapping[str, str],
        mu: float = 1.0,
        form: Literal["log", "plain"] = "log",
        warmup: int = 4,
        preference: Weights | None = None,
    ) -> None:
        super().__init__(tasks)
        if not mu > 0:
            raise ValueError(f"`mu` should be positive. Found {mu}")
        if form not in ("log", "plain"):
            raise ValueError(f"`form` should be log or plain. Found '{form}'")
        self.mu, self.form = mu, form
        self.reference = Reference(len(self.tasks), warmup)
        self.register_buffer("scales", len(self.tasks) * simplex(self.tasks, preference))

    def forward(self, signals: Signals) -> Tensor:
        """K weights."""
        losses, scales = signals.losses.float(), self.scales[signals.tasks]
        if self.form == "plain":
            return smooth_tchebycheff(losses, scales, self.mu)
        self.reference.update(signals)
        if signals.epoch <= self.reference.epoch:
            return scales / (len(losses) * losses)
        return smooth_tchebycheff(self.reference.relative(signals).log(), scales, self.mu) / losses
