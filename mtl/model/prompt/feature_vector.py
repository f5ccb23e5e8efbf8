"""A prompt that is a function of the text's features, f(x) = g(W phi(x) + b) (the article's; IDPG, Wu et al. 2022)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from mtl.data.task import Task
from mtl.errors import MtlError, choices
from mtl.functional import pooling
from mtl.model.prompt.base import Length
from mtl.model.prompt.inserted import Inserted, Read, Slot
from mtl.model.prompt.start import Init, Start
from mtl.prompts.base import Prompt
from mtl.prompts.numbers import Measures, Numbers, Tfidf

FEATURES = ("measures", "tfidf", "embedding")


class FeatureVector(Inserted):
    """P(x) = b + W phi(x), or b + W2 tanh(W1 phi(x) + b1) with a bottleneck. The last W is zero at the start, so that
    the prompt starts as the `soft` one that b is.

    Args:
        features: phi: `measures` of the text, its `tfidf` projection (both fitted on the training split), or the mean
            of its tokens in the trunk's own `embedding`, which it doesn't train.
        size: F of `tfidf`.
        bottleneck: width of the middle; `None`: one linear map.
        text, length, init, slot, learning_rate: as of every prompt.
    """

    def __init__(
        self,
        text: Prompt,
        length: Length = 20,
        init: Init | Mapping[str, Init] = "vocabulary",
        features: str = "measures",
        size: int = 32,
        bottleneck: int | None = None,
        slot: Slot = "start",
        learning_rate: float | None = None,
    ) -> None:
        super().__init__(text, length, init, slot, False, learning_rate)
        if features not in FEATURES:
            raise MtlError(f"features should be {choices(FEATURES)}. Found '{features}'")
        for name, value in {"size": size, "bottleneck": 1 if bottleneck is None else bottleneck}.items():
            if not isinstance(value, int) or value < 1:
                raise MtlError(f"{name} should be a whole number of at least 1. Found {value!r}")
        self.bottleneck = bottleneck
        self.numbers: Numbers | None = {"measures": Measures, "tfidf": lambda: Tfidf(size)}.get(
            features, lambda: None
        )()

    def fit(self, task: Task, texts: Iterable[str]) -> None:
        """Fit the text prompt and phi."""
        kept = list(texts)
        super().fit(task, kept)
        if self.numbers is not None:
            self.numbers.fit(task.name, kept)

    def measure(self, task: Task, texts: Sequence[str]) -> np.ndarray | None:
        """The numbers of the texts, unless the trunk has them."""
        return None if self.numbers is None else self.numbers(task.name, texts)

    def state(self) -> dict[str, Any]:
        """Both states."""
        return {"text": super().state(), "numbers": None if self.numbers is None else self.numbers.fitted}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Both states."""
        super().load_state(state["text"])
        if self.numbers is not None:
            self.numbers.fitted = dict(state["numbers"])

    def make_row(self, start: Start, init: Init, places: int) -> nn.Module:
        """b, and the maps."""
        vectors = start.vectors(init, places)
        F = vectors.shape[1] if self.numbers is None else self.numbers.size
        first = [] if self.bottleneck is None else [nn.Linear(F, self.bottleneck), nn.Tanh()]
        last = nn.Linear(F if self.bottleneck is None else self.bottleneck, vectors.numel(), bias=False)
        nn.init.zeros_(last.weight)
        return nn.ModuleDict({"bias": nn.ParameterDict({"vectors": vectors}), "maps": nn.Sequential(*first, last)})

    def vectors(self, row: str, read: Read | None) -> Tensor:
        """Of each input its own, u x P x E."""
        if read is None:
            raise MtlError("prompt feature_vector is another one for each text: a table of vectors can't hold it")
        bias = self.get_parameter(f"rows.{row}.bias.vectors")
        if self.numbers is None:
            phi = pooling.mean_of(read.embedded[read.at], read.batch.own[read.at]).detach()
        elif read.batch.numbers is None:
            raise MtlError("prompt feature_vector needs inputs with numbers measured on them. Found none")
        else:
            phi = read.batch.numbers[read.at].to(bias.dtype)
        return bias + self.get_submodule(f"rows.{row}.maps")(phi).unflatten(-1, bias.shape)
