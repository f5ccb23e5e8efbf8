"""Prefix tuning (Li and Liang 2021; P-tuning v2, Liu et al. 2022): keys and values of every layer are trained."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtl.data.batch import Batch
from mtl.errors import MtlError
from mtl.model.base import Trunk
from mtl.model.prompt.base import Learned, Length
from mtl.model.prompt.start import INITS, Init, Start
from mtl.prompts.base import Prompt


class Prefix(Learned):
    """P places before the announced text that the trunk never computes: only their keys and values are there.

    The text's positions begin at P, as after a real text of that length (and as with peft). Keys and values start at
    `zero`, which beats `random` on peft's published board; at those of a real text (the words that `init` names), which
    is best there; `random` ones are normal at the scale that the layer's keys and values have for tokens of the
    vocabulary. The MLP through which Li and Liang train theirs is left out.

    Args:
        text, length, init, shared, learning_rate: as of every prompt.
    """

    inits: ClassVar = ("zero", *INITS)

    def __init__(
        self,
        text: Prompt,
        length: Length = 20,
        init: Init | Mapping[str, Init] = "zero",
        shared: bool = False,
        learning_rate: float | None = None,
    ) -> None:
        super().__init__(text, length, init, shared, learning_rate)

    def virtual(self, task: str) -> int:
        """The places count as positions."""
        return self.places(task)

    @torch.no_grad()
    def make_row(self, start: Start, init: Init, places: int) -> nn.Module:
        """Layers x 2 x heads x P x width of a head."""
        shape = start.trunk.prefix_shape()
        if shape is None:
            name = type(start.trunk).__name__.lower()
            raise MtlError(f"prompt prefix needs a trunk with keys and values, such as transformer. Found {name}")
        layers, heads, width = shape
        made = torch.zeros(layers, 2, heads, places, width, device=next(start.trunk.parameters()).device)
        if init != "zero":
            ids = start.ids("vocabulary" if init == "random" else init, places)
            training = start.trunk.training
            found = torch.stack([torch.cat(pair) for pair in start.trunk.eval().prefill(ids[None])])
            start.trunk.train(training)
            scale = found.square().mean((2, 3, 4), keepdim=True).sqrt()
            made = torch.randn_like(found) * scale if init == "random" else found
        return nn.ParameterDict({"states": made})

    def forward(self, trunk: Trunk, batch: Batch) -> Tensor:
        """U x L x D. Rows with prefixes of one length go through the trunk together."""
        embedded = trunk.embed(batch.ids)
        places = torch.arange(embedded.shape[1], device=batch.ids.device).expand(len(batch.ids), -1)
        inside = places < batch.lengths[:, None]
        groups: dict[int, list[tuple[str, Tensor]]] = {}
        for row, at in self.whose(batch).items():
            groups.setdefault(self.get_parameter(f"rows.{row}.states").shape[3], []).append((row, at))
        found, order = [], []
        for P, rows in groups.items():
            at = torch.cat([inputs for _, inputs in rows])
            states = [self.get_parameter(f"rows.{row}.states")[None].expand(len(to), *[-1] * 5) for row, to in rows]
            prefix = [(layer[:, 0], layer[:, 1]) for layer in torch.cat(states).unbind(1)]
            found.append(trunk.encode(embedded[at], inside[at], places[at] + P, prefix))
            order.append(at)
        return torch.cat(found)[torch.cat(order).argsort()]
