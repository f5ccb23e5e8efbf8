"""What a frozen trunk, or the frozen part of one, makes of every text of a run: read once, looked up on disk."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn

from mtl.functional.pooling import inside
from mtl.model.base import Prefix, Trunk
from mtl.model.cache_file import find_or_make, megabytes

PLACES = 1024
"""Tokens, padding included, that the trunk reads at once: 4096 takes a CPU a third longer (MiniLM)."""
LIKE = 0.01
"""How far, relative to its norm, the features of one text may be from those in a file that is to be used."""


What = Literal["texts", "tokens", "states", "keys"]
"""What is kept: the pooled features of a text; or of each of its tokens the features, what the first layer that trains
is given (`Pretrained.below`), or the keys and values of all layers (`Pretrained.keys`)."""


class Place(NamedTuple):
    """Where what is kept of a text lies: rows of an array."""

    array: np.ndarray
    begin: int
    end: int


class Texts:
    """Distinct encoded texts in a fixed order, by length and then by their ids, and batches of them.

    What is computed from them depends on nothing but the texts.

    Args:
        rows: encoded texts, in any order and as often as they come.
    """

    def __init__(self, rows: Iterable[np.ndarray]) -> None:
        keys = {row.astype(np.int32).tobytes() for row in rows}
        self.keys = sorted(keys, key=lambda key: (len(key), key))
        self.lengths = np.array([len(key) // 4 for key in self.keys])
        digest = hashlib.sha256()
        for key in self.keys:
            digest.update(len(key).to_bytes(8, "little") + key)
        self.digest = digest.hexdigest()

    def batch(self, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """Ids (padded on the right with 0) and lengths."""
        ids = np.zeros((end - begin, self.lengths[begin:end].max()), dtype=np.int64)
        for line, key in zip(ids, self.keys[begin:end], strict=True):
            line[: len(key) // 4] = np.frombuffer(key, np.int32)
        return torch.from_numpy(ids), torch.from_numpy(self.lengths[begin:end])

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All of them."""
        begin = 0
        while begin < len(self.keys):
            size = np.arange(1, len(self.keys) - begin + 1) * self.lengths[begin:]
            end = begin + max(1, int(np.searchsorted(size, PLACES, side="right")))
            yield self.batch(begin, end)
            begin = end


class Reader:
    """Runs a frozen trunk for a cache.

    Args:
        trunk: in evaluation, as far as it is frozen.
        what: is kept of a text.
        device: where it runs.
        autocast: to which dtype, as in training; `None`: not at all.
    """

    def __init__(self, trunk: Any, what: What, device: str, autocast: torch.dtype | None) -> None:
        assert what in get_args(What)
        self.trunk, self.what, self.device, self.autocast = trunk, what, device, autocast
        self.per_token, self.width = what != "texts", trunk.width
        if what == "keys":
            layers, heads, width = trunk.prefix_shape()
            self.width = 2 * layers * heads * width

    @torch.no_grad()
    def read(self, ids: Tensor, lengths: Tensor) -> np.ndarray:
        """What is kept of the batch's texts, or of all their tokens one after the other: rows x `width`."""
        cast = torch.autocast(self.device, self.autocast) if self.autocast else contextlib.nullcontext()
        ids, lengths = ids.to(self.device), lengths.to(self.device)
        trunk = self.trunk.to(self.device)
        run = {"states": "below", "keys": "keys"}.get(self.what, "forward")
        with cast:
            found = getattr(trunk, run)(ids, lengths)
            read = found[inside(found, lengths)] if self.per_token else trunk.pool(found, lengths)
        return read.float().cpu().numpy()


def look_up(
    folder: Path, name: str, key: Sequence[object], texts: Texts, reader: Reader, say: Callable[[str], None]
) -> dict[bytes, Place]:
    """Where what is kept of each text lies, by its ids as bytes (int32); computed where the folder has it not.

    Args:
        folder: of the cache.
        name: of the model, for the file's name.
        key: what, beside the texts, says what is kept: plain data.
        texts: to be found.
        reader: of the trunk.
        say: is told in one line what is there, or is about to be made.
    """
    counts = texts.lengths if reader.per_token else np.ones_like(texts.lengths)
    ends = np.cumsum(counts)
    begins = ends - counts
    shape, number = (int(ends[-1]), reader.width), len(texts.keys)
    told = hashlib.sha256(json.dumps([*key, texts.digest]).encode()).hexdigest()[:16]
    path = folder / f"{name}-{told}.npy"
    where = f"{path}, {megabytes(4 * shape[0] * shape[1])}"
    made = False

    def blocks(again: bool) -> Iterator[np.ndarray]:
        nonlocal made
        made = True
        why = "; the file that was there is broken or of another model" if again else ""
        say(f"trunk.cache: running the trunk once over {number:,} texts into {where}{why}")
        return (reader.read(*batch) for batch in texts.batches())

    def sound(array: np.ndarray) -> bool:
        middle = number // 2
        found, again = array[begins[middle] : ends[middle]], reader.read(*texts.batch(middle, middle + 1))
        return bool(np.linalg.norm(found - again) <= LIKE * np.linalg.norm(again))

    array = find_or_make(path, shape, blocks, sound)
    if not made:
        say(f"trunk.cache: {number:,} texts found in {where}")
    spans = zip(texts.keys, begins.tolist(), ends.tolist(), strict=True)
    return {text: Place(array, begin, end) for text, begin, end in spans}


class Known:
    """Looks up texts by their ids.

    Args:
        places: where what is kept of a text lies, by its ids as bytes (int32).
        reader: of what is kept.
        right: a text's tokens end where the block ends; else they begin where it begins.
    """

    def __init__(self, places: Mapping[bytes, Place], reader: Reader, right: bool = False) -> None:
        self.places, self.per_token, self.width, self.right = places, reader.per_token, reader.width, right

    def __call__(self, ids: Tensor, lengths: Tensor) -> Tensor | None:
        """U x L ids to U x L x `width` (U x 1 x `width` of texts as a whole), zeros beside a text's tokens.

        `None` where a text isn't there.
        """
        numbers = ids.cpu().numpy().astype(np.int32)
        asked = [row[:length].tobytes() for row, length in zip(numbers, lengths.tolist(), strict=True)]
        found = [self.places[text] for text in asked if text in self.places]
        if len(found) < len(asked):
            return None
        block = np.zeros((len(found), ids.shape[1] if self.per_token else 1, self.width), dtype=np.float32)
        for line, (array, begin, end) in zip(block, found, strict=True):
            at = slice(len(line) - (end - begin), None) if self.right else slice(end - begin)
            line[at] = array[begin:end]
        return torch.from_numpy(block).to(ids.device)


class Cached(Trunk):
    """A frozen trunk whose features are looked up by the ids of a text; a text that is not there, the trunk reads.

    Where no task reads tokens, the one place of a text holds its pooled features: `forward` gives U x 1 x D, and
    `pool` takes them out.

    Args:
        inner: the trunk.
        known: features of tokens, or of texts as a whole.
    """

    def __init__(self, inner: Trunk, known: Known) -> None:
        super().__init__()
        self.inner, self.known, self.per_token, self.width = inner, known, known.per_token, inner.width
        self.max_length, self.causal = inner.max_length, inner.causal
        self.freeze()

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """U x L x D; zeros behind a text's end."""
        if (found := self.known(ids, lengths)) is not None:
            return found
        features = self.inner(ids, lengths)
        return features if self.per_token else self.inner.pool(features, lengths)[:, None]

    def embed(self, ids: Tensor) -> Tensor:
        """The trunk's."""
        return self.inner.embed(ids)

    def encode(self, embedded: Tensor, inside: Tensor, positions: Tensor, prefix: Prefix | None = None) -> Tensor:
        """The trunk's: what comes from elsewhere is not looked up."""
        return self.inner.encode(embedded, inside, positions, prefix)

    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        """U x D."""
        return self.inner.pool(features, lengths) if self.per_token else features[:, 0]

    def last_layer(self) -> list[nn.Module]:
        """The trunk's."""
        return self.inner.last_layer()


def looking_up(reader: Reader, places: Mapping[bytes, Place]) -> Trunk:
    """The reader's trunk, which now looks up what it would read."""
    trunk, known = reader.trunk, Known(places, reader, right=reader.what == "keys")
    if reader.what in ("texts", "tokens"):
        return Cached(trunk, known)
    setattr(trunk, f"known_{reader.what}", known)
    return trunk
