"""Residual prompt tuning (Razdaibiedina et al. 2023): P0 + MLP(P0), of which only the sum is kept after training."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl.errors import MtlError
from mtl.model.prompt.base import Length
from mtl.model.prompt.inserted import Inserted, Read, Slot
from mtl.model.prompt.start import Init, Start
from mtl.prompts.base import Prompt


class Reparam(Inserted):
    """Each task has an MLP of its own. Its last layer is zero, so that the prompt starts where a `soft` one does; the
    paper's layer norm after it is left out for that.

    Args:
        hidden: width of the MLP.
        text, length, init, slot, shared, learning_rate: as of every prompt.
    """

    def __init__(
        self,
        text: Prompt,
        length: Length = 20,
        init: Init | Mapping[str, Init] = "vocabulary",
        hidden: int = 128,
        slot: Slot = "start",
        shared: bool = False,
        learning_rate: float | None = None,
    ) -> None:
        super().__init__(text, length, init, slot, shared, learning_rate)
        if not isinstance(hidden, int) or hidden < 1:
            raise MtlError(f"hidden should be a whole number of at least 1. Found {hidden!r}")
        self.hidden = hidden

    def make_row(self, start: Start, init: Init, places: int) -> nn.Module:
        """P0 and an MLP."""
        vectors = start.vectors(init, places)
        E = vectors.shape[1]
        last = nn.Linear(self.hidden, E)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return nn.ModuleDict(
            {
                "first": nn.ParameterDict({"vectors": vectors}),
                "mlp": nn.Sequential(nn.Linear(E, self.hidden), nn.ReLU(), last),
            }
        )

    def vectors(self, row: str, read: Read | None) -> Tensor:
        """P x E."""
        first = self.get_parameter(f"rows.{row}.first.vectors")
        return first + self.get_submodule(f"rows.{row}.mlp")(first)

    @torch.no_grad()
    def kept(self) -> dict[str, Tensor]:
        """The sums alone, as a `soft` prompt has them."""
        folded = {}
        for row in self.rows:
            first = self.get_parameter(f"rows.{row}.first.vectors")
            folded[f"rows.{row}.vectors"] = first + self.get_submodule(f"rows.{row}.mlp")(first)
        return folded

    @torch.no_grad()
    def take(self, kept: Mapping[str, Tensor]) -> None:
        """The sums become P0, and the MLPs add nothing."""
        for row in self.rows:
            self.get_parameter(f"rows.{row}.first.vectors").copy_(kept[f"rows.{row}.vectors"])
            for last in (f"rows.{row}.mlp.2.weight", f"rows.{row}.mlp.2.bias"):
                self.get_parameter(last).zero_()
