"""One group of tasks a step: what belongs together is trained together (Standley et al. 2020; Fifty et al. 2021)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mtl.strategies.switching.composition.base import Composition, visits
from mtl.strategies.switching.order.base import Order, arrange, evenly
from mtl.strategies.switching.quota import Quota


class Grouped(Composition):
    """A step has one group, with `batch_size` rows for each of its tasks on the whole; inside a group the rates of its
    tasks decide, spread evenly over the group's steps. A group's own rate is the sum of its tasks'.

    Args:
        sizes: training rows of each task.
        batch_size: rows of each task in a step that its group shares alike.
        groups: lists of task names; each task stands in one. By default each task is a group of its own.
    """

    def __init__(
        self, sizes: Mapping[str, int], batch_size: int, groups: Sequence[Sequence[str]] | None = None
    ) -> None:
        groups = [[name] for name in sizes] if groups is None else [list(group) for group in groups]
        named = [name for group in groups for name in group]
        if sorted(named) != sorted(sizes) or not all(groups):
            raise ValueError(f"`groups` should hold each of {', '.join(sizes)} once. Found {groups}")
        self.groups = [torch.tensor([list(sizes).index(name) for name in group]) for group in groups]
        self._names = {"+".join(group): sum(sizes[name] for name in group) for group in groups}
        super().__init__(sizes, batch_size)
        self.inside = [Quota(len(group)) for group in groups]

    @property
    def names(self) -> dict[str, int]:
        """The groups."""
        return self._names

    @property
    def rows(self) -> int:
        """Those of the largest group."""
        return self.batch_size * max(len(group) for group in self.groups)

    @property
    def steady(self) -> bool:
        """Where all groups are of one size."""
        return len({len(group) for group in self.groups}) == 1

    def deal(self, rates: Tensor, steps: int, order: Order, generator: torch.Generator) -> Tensor:
        """Each step has one group."""
        shares = torch.stack([rates[group].sum() for group in self.groups])
        labels = visits(self.quota, shares, steps, order, generator)
        table = torch.zeros(steps, len(self.sizes), dtype=torch.long)
        for place, (group, quota) in enumerate(zip(self.groups, self.inside, strict=True)):
            mine = (labels == place).nonzero().squeeze(1)
            if not len(mine):
                continue
            size = self.batch_size * len(group)
            counts = quota.draw(rates[group] / shares[place], size * len(mine)).tolist()
            line = arrange(evenly(counts)).view(len(mine), size)
            for position, task in enumerate(group.tolist()):
                table[mine, task] = (line == position).sum(1)
        return table

    def state_dict(self) -> dict[str, Any]:
        """What is owed to groups, and to tasks inside them."""
        return {**super().state_dict(), "inside": [quota.state_dict() for quota in self.inside]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        for quota, found in zip(self.inside, state["inside"], strict=True):
            quota.load_state_dict(found)
