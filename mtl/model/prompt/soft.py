"""Prompt tuning (Lester et al. 2021): P trained vectors among the embedded tokens."""

from torch import Tensor, nn

from mtl.model.prompt.inserted import Inserted, Read
from mtl.model.prompt.start import Init, Start


class Soft(Inserted):
    """A row is its vectors."""

    def make_row(self, start: Start, init: Init, places: int) -> nn.Module:
        """P x E."""
        return nn.ParameterDict({"vectors": start.vectors(init, places)})

    def vectors(self, row: str, read: Read | None) -> Tensor:
        """P x E."""
        return self.get_parameter(f"rows.{row}.vectors")
