"""How rows are split: as their source says, or by a hash of their text."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from mtl.errors import MtlError, choices

SPLITS = ("train", "val", "test")
ALIASES = {"validation": "val", "valid": "val", "dev": "val"}


def split_name(value: object) -> str:
    """`train`, `val` or `test` for a name that others may write as validation, valid or dev; else ValueError."""
    name = str(value).strip().lower()
    name = ALIASES.get(name, name)
    if name not in SPLITS:
        raise ValueError(f"should be {choices(SPLITS)}. Found {value!r}")
    return name


@dataclass(frozen=True)
class Split:
    """Where a row goes.

    A split that the source gives (one file each, or a column) stands. All other rows are placed by a BLAKE2b hash of
    their text, so equal texts never straddle a split, and neither the order of the rows nor the machine matters.
    Where a source gives train and test alone, val is carved out of train by the same hash: val / (train + val) of it.

    Args:
        fractions: shares of train, val and test.
        column: field that holds the split of each row; it goes before what the files say.
        seed: salt of the hash; another seed gives another split.
    """

    fractions: Sequence[float] = (0.8, 0.1, 0.1)
    column: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", tuple(self.fractions))
        numbers = all(isinstance(f, int | float) and f > 0 for f in self.fractions)
        if len(self.fractions) != 3 or not numbers or abs(sum(self.fractions) - 1) > 1e-6:
            raise MtlError(
                f"split.fractions should be three positive shares (train, val, test) with sum 1. Found {self.fractions}"
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**64:
            raise MtlError(f"split.seed should be an integer from 0 to 2**64 - 1. Found {self.seed!r}")

    def assign(self, texts: Sequence[str], given: Sequence[str | None]) -> np.ndarray:
        """N positions in `SPLITS` (int8) for N texts and the splits their source gives, where it does."""
        splits_N = np.array([-1 if name is None else SPLITS.index(name) for name in given], dtype=np.int8)
        named = set(given)
        if None in named:
            hashed_N = np.searchsorted(np.cumsum(self.fractions)[:2], self._shares(texts), side="right")
            splits_N = np.where(splits_N < 0, hashed_N, splits_N).astype(np.int8)
        elif named == {"train", "test"}:
            train, val, _ = self.fractions
            carved_N = (splits_N == SPLITS.index("train")) & (self._shares(texts) >= train / (train + val))
            splits_N[carved_N] = SPLITS.index("val")
        return splits_N

    def _shares(self, texts: Sequence[str]) -> np.ndarray:
        """One number in [0, 1) a text."""
        salt = self.seed.to_bytes(8, "little")
        digests = b"".join(blake2b(text.encode(), digest_size=8, salt=salt).digest() for text in texts)
        return np.frombuffer(digests, dtype="<u8") / 2.0**64


def straddling(texts: Sequence[str], splits: np.ndarray) -> list[str]:
    """The distinct texts that stand in more than one split."""
    first: dict[str, int] = {}
    pairs = zip(texts, splits.tolist(), strict=True)
    return list(dict.fromkeys(text for text, split in pairs if first.setdefault(text, split) != split))
