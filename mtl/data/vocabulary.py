"""Text to ids: the pieces of the training split, counted and numbered."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from mtl.errors import MtlError

PAD, UNKNOWN = 0, 1
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_HAN}]|[^\W{_HAN}]+|[^\w\s]")


def pieces(text: str, unit: str) -> Sequence[str]:
    """The text cut into characters, or into words (where a Chinese character is a word)."""
    return text if unit == "characters" else _WORD.findall(text.lower())


@dataclass(frozen=True)
class Vocabulary:
    """Numbers for pieces; 0 is padding, 1 is everything unknown.

    Args:
        unit: `characters` (the tokens of Chinese) or `words`.
        names: the known pieces; the first has number 2.

    """

    unit: Literal["characters", "words"]
    names: tuple[str, ...]
    padding: ClassVar[int] = PAD
    unknown: ClassVar[int | None] = UNKNOWN
    start: ClassVar[np.ndarray] = np.zeros(0, np.int32)
    end: ClassVar[np.ndarray] = np.zeros(0, np.int32)
    limit: ClassVar[int | None] = None
    length: ClassVar[int | None] = None
    _index: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.unit not in ("characters", "words"):
            raise MtlError(f"unit should be characters or words. Found '{self.unit}'")
        object.__setattr__(self, "_index", {name: number for number, name in enumerate(self.names, 2)})

    @classmethod
    def fit(
        cls, texts: Iterable[str], unit: Literal["characters", "words"], *, min_count: int, extra: Iterable[str] = ()
    ) -> "Vocabulary":
        """The pieces that stand `min_count` times in the training texts, commonest first, then those of `extra`.

        `extra` are texts that are part of the design and not of the data: the words of the prompts.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(pieces(text, unit))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [name for name, count in ranked if count >= min_count]
        added = sorted({piece for text in extra for piece in pieces(text, unit)} - set(kept))
        return cls(unit, (*kept, *added))

    def __len__(self) -> int:
        return len(self.names) + 2

    def border(self, before: str, text: str) -> tuple[str, str]:
        """Prompt and text as they stand."""
        return before, text

    def encode_prompt(self, text: str) -> np.ndarray:
        """The ids of a prompt's words, as of any others (int32)."""
        return self.encode(text)

    def encode(self, text: str) -> np.ndarray:
        """The ids of the text's pieces (int32)."""
        index = self._index
        return np.array([index.get(piece, UNKNOWN) for piece in pieces(text, self.unit)], dtype=np.int32)

    def encode_tokens(self, tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of the pieces of each token, and where each token's first piece stands (one unknown for an empty one)."""
        if self.unit == "characters" and all(len(token) == 1 for token in tokens):
            return self.encode("".join(tokens)), np.arange(len(tokens), dtype=np.int32)
        unknown = np.array([UNKNOWN], np.int32)
        cut = [ids if len(ids := self.encode(token)) else unknown for token in tokens]
        ids = np.concatenate(cut) if cut else np.zeros(0, np.int32)
        return ids, np.cumsum([0, *map(len, cut[:-1])], dtype=np.int32)[: len(tokens)]

    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return {"unit": self.unit, "names": list(self.names)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Vocabulary":
        """The vocabulary that `state` came from."""
        return cls(state["unit"], tuple(state["names"]))
