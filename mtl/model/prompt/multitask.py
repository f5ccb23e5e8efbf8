"""Multitask prompt tuning (MPT, Wang et al. 2023): one prompt for all tasks, times something small of each."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl.data.encoder import Encoder
from mtl.data.task import Task
from mtl.errors import MtlError
from mtl.model.base import Trunk
from mtl.model.prompt.inserted import Inserted, Read, Slot
from mtl.model.prompt.start import Init, Start
from mtl.prompts.base import Prompt


class Multitask(Inserted):
    """P_t = P* (1 + U_t V_t), elementwise, with U_t of P x r and V_t of r x E (equation 2 of the paper has no 1).

    V starts at zero, so that every task starts from P*. With the paper's product alone, and factors drawn at 0.02 as
    peft has them, a prompt starts at almost nothing, whatever P* starts from. The paper's distillation of P* from
    prompts of single tasks is not here: the tasks of the run train P* together.

    Args:
        rank: r.
        length: P, the same for all tasks.
        init: of P*; words are those of all tasks.
        text, slot, learning_rate: as of every prompt.
    """

    def __init__(
        self,
        text: Prompt,
        length: int = 20,
        init: Init = "vocabulary",
        rank: int = 1,
        slot: Slot = "start",
        learning_rate: float | None = None,
    ) -> None:
        if isinstance(length, Mapping) or isinstance(init, Mapping):
            raise MtlError("length and init should be one for all tasks: they share a prompt. Found a mapping")
        if not isinstance(rank, int) or rank < 1:
            raise MtlError(f"rank should be a whole number of at least 1. Found {rank!r}")
        super().__init__(text, length, init, slot, False, learning_rate)
        self.rank = rank
        self.common = nn.ParameterDict()

    def make(self, trunk: Trunk, tasks: Mapping[str, Task], vocabulary: Encoder, seed: int) -> None:
        """P*, then the tasks'."""
        start = Start(trunk, list(tasks.values()), vocabulary, seed, "common prompt")
        with start.random():
            self.common["vectors"] = start.vectors(self.start(""), self.places(""))
        super().make(trunk, tasks, vocabulary, seed)

    def make_row(self, start: Start, init: Init, places: int) -> nn.Module:
        """U and V."""
        P, E = self.common["vectors"].shape
        return nn.ParameterDict({"u": torch.randn(P, self.rank) / self.rank**0.5, "v": torch.zeros(self.rank, E)})

    def vectors(self, row: str, read: Read | None) -> Tensor:
        """P x E."""
        u, v = (self.get_parameter(f"rows.{row}.{name}") for name in "uv")
        return self.common["vectors"] * (1 + u @ v)
