"""Two choices that go with any weighting: what its weights come to in all, and how often they are found anew."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mtl.strategies.weighting.base import Signals, Weighting

Reduction = Literal["published", "sum", "mean"]


def adjusted(weighting: Weighting, reduction: Reduction = "published", every: int = 1) -> Weighting:
    """The weighting itself, or with a reduction and an interval of its own."""
    if reduction == "published" and every == 1:
        return weighting
    return Adjusted(weighting, reduction, every)


class Adjusted(Weighting):
    """A weighting whose weights are rescaled, and found anew in every `every`-th step only.

    Published codes mix the sum and the mean of the tasks, so that the trunk's learning rate differs by a factor of T
    between "methods": `sum` and `mean` bring the weights of a step's K alike tasks to K or to 1, whatever the method's
    own convention. Own parameters of a weighting learn as published: only what acts on the model is rescaled.

    Args:
        weighting: any.
        reduction: `published` leaves the weights as they are.
        every: steps from one Gramian to the next; the weights are held between (Navon et al. 2022, section 5). A task
            that took no part in such a step keeps its older weight, at first that of alike tasks. Without effect on a
            weighting that takes no gradients.

    """

    held: Tensor

    def __init__(self, weighting: Weighting, reduction: Reduction = "published", every: int = 1) -> None:
        if reduction not in get_args(Reduction):
            raise ValueError(f"`reduction` should be {', '.join(get_args(Reduction))}. Found '{reduction}'")
        if every < 1:
            raise ValueError(f"`weigh_every` should be at least 1. Found {every}")
        if every > 1 and weighting.needs_jacobian:
            raise ValueError(
                f"`weigh_every` should be 1 for {weighting.name}, which has no weights to hold. Found {every}"
            )
        nn.Module.__init__(self)
        self.inner = weighting
        self.tasks, self.kinds = weighting.tasks, weighting.kinds
        self.needs_gramian, self.learning_rate = weighting.needs_gramian, weighting.learning_rate
        self.needs_jacobian, self.same_coordinates = weighting.needs_jacobian, weighting.same_coordinates
        self.reduction: Reduction = reduction
        self.every = every if weighting.needs_gramian else 1
        T = len(self.tasks)
        self.register_buffer("held", torch.full((T,), weighting.total(T) / T))

    @property
    def fallbacks(self) -> Tensor:  # ty: ignore[incompatible-property-override]
        """Of the weighting itself."""
        return self.inner.fallbacks

    @property
    def name(self) -> str:
        """Of the weighting itself."""
        return self.inner.name

    def coming_preference(self) -> Tensor | None:
        """Of the weighting itself."""
        return self.inner.coming_preference()

    def wants_gramian(self, step: int) -> bool:
        """In every `every`-th step."""
        return step % self.every == 0 and self.inner.wants_gramian(step)

    def forward(self, signals: Signals) -> Tensor:
        """K weights, found or held."""
        if self.every > 1 and signals.step % self.every:
            return self._rescaled(self.held[signals.tasks])
        weights = self.inner(signals)
        if self.every > 1:
            self.held[signals.tasks] = weights.detach().to(self.held)
        return self._rescaled(weights)

    def combine(self, signals: Signals) -> tuple[Tensor, Tensor]:
        """Weights and direction, rescaled."""
        weights, direction = self.inner.combine(signals)
        factor = self._factor(len(weights))
        return factor * weights, factor * direction

    def penalty(self, signals: Signals) -> Tensor:
        """As published."""
        return self.inner.penalty(signals)

    def _rescaled(self, weights: Tensor) -> Tensor:
        """The value is rescaled, the gradient to the weighting's own parameters is not."""
        factor = self._factor(len(weights))
        return weights + (factor - 1) * weights.detach()

    def _factor(self, tasks: int) -> float:
        if self.reduction == "published":
            return 1.0
        return (tasks if self.reduction == "sum" else 1.0) / self.inner.total(tasks)
