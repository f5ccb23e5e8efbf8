"""Attentional mixtures of soft prompts (ATTEMPT, Asai et al. 2022): a task's prompt and, for each input, a blend."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl.data.encoder import Encoder
from mtl.data.task import Task
from mtl.errors import MtlError
from mtl.functional import pooling
from mtl.model.base import Trunk
from mtl.model.prompt.inserted import Inserted, Read, Slot
from mtl.model.prompt.start import Init, Start, own_random
from mtl.prompts.base import Prompt


class Attentional(Inserted):
    """P(x) = P_t + sum_k a_k(x) P_k over source prompts P_k and P_t itself (equation 1 of the paper).

    a = softmax(p_k . h(x) / (e E)), p_k the largest value of each dimension of P_k over its places, and
    h = norm(up(silu(down(x)))) of the largest values of the embedded tokens; e E is the paper's temperature. The
    network h and the sources are shared by the tasks of the run; each task has P_t. The paper's sources were trained on
    other tasks before, and stand still; ours start from tokens of the vocabulary and are trained with the rest.

    Args:
        sources: how many source prompts.
        bottleneck: width of h's middle.
        length: P, the same for all tasks.
        text, init, slot, learning_rate: as of every prompt.
    """

    def __init__(
        self,
        text: Prompt,
        length: int = 20,
        init: Init | Mapping[str, Init] = "vocabulary",
        sources: int = 4,
        bottleneck: int = 32,
        slot: Slot = "start",
        learning_rate: float | None = None,
    ) -> None:
        if isinstance(length, Mapping):
            raise MtlError(f"length should be one for all tasks: they mix the same sources. Found {dict(length)}")
        for name, value in {"sources": sources, "bottleneck": bottleneck}.items():
            if not isinstance(value, int) or value < 1:
                raise MtlError(f"{name} should be a whole number of at least 1. Found {value!r}")
        super().__init__(text, length, init, slot, False, learning_rate)
        self.sources, self.bottleneck = sources, bottleneck
        self.common = nn.ModuleDict()

    def make(self, trunk: Trunk, tasks: Mapping[str, Task], vocabulary: Encoder, seed: int) -> None:
        """Sources and h, then the tasks' own."""
        with own_random(seed, "common prompts"):
            start = Start(trunk, list(tasks.values()), vocabulary, seed, "common prompts")
            prompts = torch.stack([start.vectors("vocabulary", self.places("")) for _ in range(self.sources)])
            E = prompts.shape[-1]
            self.common["sources"] = nn.ParameterDict({"vectors": prompts})
            down, up = (nn.Linear(*sizes, bias=False) for sizes in ((E, self.bottleneck), (self.bottleneck, E)))
            self.common["look"] = nn.Sequential(down, nn.SiLU(), up, nn.LayerNorm(E))
        super().make(trunk, tasks, vocabulary, seed)

    def make_row(self, start: Start, init: Init, places: int) -> nn.Module:
        """P_t."""
        return nn.ParameterDict({"vectors": start.vectors(init, places)})

    def vectors(self, row: str, read: Read | None) -> Tensor:
        """Of each input its own, u x P x E."""
        if read is None:
            raise MtlError("prompt attentional is another one for each text: a table of vectors can't hold it")
        own, sources = self.get_parameter(f"rows.{row}.vectors"), self.get_parameter("common.sources.vectors")
        known_KPE = torch.cat((sources, own[None]))
        seen_uE = self.common["look"](pooling.maximum(read.embedded[read.at], read.batch.ends[read.at]))
        scores_uK = seen_uE @ known_KPE.amax(1).T / (math.e * seen_uE.shape[-1])
        return own + torch.einsum("uk,kpe->upe", scores_uK.softmax(-1), known_KPE)
