"""What turns text into ids: a vocabulary fitted on training texts, or what the trunk brings: a tokenizer, or pixels."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np


class Encoder(Protocol):
    """Numbers for pieces of text."""

    @property
    def unit(self) -> str:
        """`characters` or `words`: what a token is where a tagging task is asked about a plain text."""

    @property
    def padding(self) -> int:
        """The id that fills up a block."""

    @property
    def unknown(self) -> int | None:
        """The id of pieces that are not known; `None` where there are none."""

    @property
    def start(self) -> np.ndarray:
        """Ids that stand before every input (int32)."""

    @property
    def end(self) -> np.ndarray:
        """Ids that stand after every input (int32)."""

    @property
    def limit(self) -> int | None:
        """Longest input that the trunk can read, in tokens; `None` where it doesn't say."""

    @property
    def length(self) -> int | None:
        """Places of every input where all have as many: they are never cut, and no prompt stands beside them."""

    def __len__(self) -> int:
        """How many ids there are."""

    def border(self, before: str, text: str) -> tuple[str, str]:
        """A prompt and the text after it, cut apart where the pieces are cut."""

    def encode(self, text: str) -> np.ndarray:
        """The ids of the text's pieces (int32); one at least for a text that is not blank."""

    def encode_prompt(self, text: str) -> np.ndarray:
        """The ids of words that are part of the design and not of the data, where a mask may stand (int32)."""

    def encode_tokens(self, tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of the pieces of each token, and where each token's first piece stands."""

    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""


def encoder_from(state: Mapping[str, Any]) -> Encoder:
    """The encoder that `state` came from; MtlError if the pretrained model it names is gone or another one now."""
    from mtl.data.pixels import Pixels
    from mtl.data.tokenizer import PretrainedTokenizer
    from mtl.data.vocabulary import Vocabulary

    if "pixels" in state:
        return Pixels(*state["pixels"])
    return PretrainedTokenizer.from_state(state) if "pretrained" in state else Vocabulary.from_state(state)
