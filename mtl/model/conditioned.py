"""A model that is told a preference between its tasks: something small, added to what the heads read."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Conditioned(nn.Module):
    """Two layers from T numbers to D features. The last begins at zero: at first the model is as if it heard nothing.

    Args:
        tasks: T.
        units: of the layer between.
        width: D.
    """

    preference: Tensor

    def __init__(self, tasks: int, units: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(tasks, units), nn.ReLU(), nn.Linear(units, width))
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)
        self.register_buffer("preference", torch.full((tasks,), 1 / tasks), persistent=False)

    def tell(self, preference: Tensor | None) -> None:
        """Set the preference (T); `None`: an equal one."""
        equal = torch.full_like(self.preference, 1 / len(self.preference))
        self.preference = equal if preference is None else preference.to(equal)

    def forward(self, features: Tensor) -> Tensor:
        """Features (... x D) under the present `preference`; an equal one until another is set."""
        return features + self.layers(self.preference)


def rays(tasks: int, count: int = 5) -> list[tuple[float, ...]]:
    """Preferences to look at: for two tasks `count` evenly spaced ones, for more one that leans to each with 0.8."""
    if tasks == 2:
        return [(share, 1 - share) for share in ((place + 0.5) / count for place in range(count))]
    if tasks == 1:
        return [(1.0,)]
    return [tuple(0.8 if place == leader else 0.2 / (tasks - 1) for place in range(tasks)) for leader in range(tasks)]


def named(preference: Sequence[float]) -> str:
    """`0.3-0.7`, as part of a metric's name."""
    return "-".join(f"{share:.3g}" for share in preference)
