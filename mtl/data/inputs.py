"""A corpus as the trunk will read it: announced, encoded and cut to length, ready to be padded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mtl.data.encoder import Encoder
from mtl.errors import MtlError

PLACE = "{prompt}"
"""Where in its words an announcement keeps the place of learned vectors (`slot=inside`); it is no word itself."""
NO_PLACE = "prompt: an image has no place for words or learned vectors; take prompt=none"
Announce = Callable[[str], tuple[str, str]]
"""A text -> what stands before it and what stands after it."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """N encoded rows, flat. Row i is `ids[starts[i]:starts[i + 1]]`; the announced text begins `text_at[i]` into it.

    Args:
        first: for rows that came as tokens, row i's positions of each token's first piece, counted from the start of
            its text; tokens that were cut off are left out.
        truncated: how many rows lost a part of their text.
        padding: the id that fills up a block.
        text_to: where the announced text of each row ends; `None` where nobody asks.
        numbers: N x F, what a prompt measured on each text.
        place_at: where `{prompt}` stands in each row, its text's begin where it doesn't; `None` where nobody asks.

    """

    ids: np.ndarray
    starts: np.ndarray
    text_at: np.ndarray
    first: Sequence[np.ndarray] | None
    truncated: int
    padding: int = 0
    text_to: np.ndarray | None = None
    numbers: np.ndarray | None = None
    place_at: np.ndarray | None = None

    @classmethod
    def build(
        cls,
        texts: Sequence[str],
        tokens: Sequence[Sequence[str]] | None,
        announce: Announce,
        encoder: Encoder,
        max_length: int,
        virtual: int = 0,
    ) -> "Inputs":
        """Encode all rows. Truncation cuts the text, never what announces it; `virtual` places are kept free.

        MtlError where no room for a text is left, or where the inputs are images and the prompt says something.
        """
        words: dict[str, tuple[np.ndarray, int | None]] = {"": (np.zeros(0, np.int32), None)}
        rows, text_at, text_to, place_at, first, truncated = [], [], [], [], [], 0
        for row, text in enumerate(texts):
            said, follows = close_up(*announce(text))
            if encoder.length is not None and (said or follows or virtual):
                raise MtlError(NO_PLACE)
            said, read = encoder.border(said, text)
            for part in (said, follows):
                if part not in words:
                    words[part] = _encode_words(part, encoder)
            (ahead, inside), (behind, later) = words[said], words[follows]
            before = np.concatenate((encoder.start, ahead))
            after = np.concatenate((behind, encoder.end))
            if tokens is None:
                ids = encoder.encode(read)
            else:
                space = read[: len(read) - len(text)]
                ids, firsts = encoder.encode_tokens([space + tokens[row][0], *tokens[row][1:]])
            taken = len(before) + len(after) + virtual
            room = max_length - taken if encoder.length is None else encoder.length
            if room < 1:
                raise MtlError(
                    f"max_length should leave room for a text after the prompt's {taken} tokens. Found {max_length}"
                )
            truncated += len(ids) > room
            rows.append(np.concatenate((before, ids[:room], after)))
            text_at.append(len(before))
            text_to.append(len(before) + len(ids[:room]))
            from_text = text_to[-1] + later if later is not None else text_at[-1]
            place_at.append(from_text if inside is None else len(encoder.start) + inside)
            if tokens is not None:
                first.append(firsts[firsts < room])
        starts = np.cumsum([0] + [len(row) for row in rows])
        flat = np.concatenate(rows) if rows else np.zeros(0, np.int32)
        kept = first if tokens is not None else None
        ends, places = np.array(text_to), np.array(place_at)
        return cls(flat, starts, np.array(text_at), kept, truncated, encoder.padding, ends, place_at=places)

    def bounds(self, rows: np.ndarray) -> np.ndarray | None:
        """Where the announced texts of `rows` begin and end, and where `{prompt}` stands (len(rows) x 3)."""
        if self.text_to is None or self.place_at is None:
            return None
        return np.stack((self.text_at[rows], self.text_to[rows], self.place_at[rows]), axis=1)

    @property
    def lengths(self) -> np.ndarray:
        """N lengths, in tokens, of the announced rows."""
        return np.diff(self.starts)

    def pad(self, rows: np.ndarray, width: int) -> np.ndarray:
        """`rows` as one block (len(rows) x width), padded on the right."""
        lengths = self.lengths[rows]
        columns = np.arange(width)
        inside = columns < lengths[:, None]
        block = np.full((len(rows), width), self.padding, dtype=np.int64)
        block[inside] = self.ids[(self.starts[rows][:, None] + columns)[inside]]
        return block

    def place(self, targets: Sequence[np.ndarray], rows: np.ndarray, width: int, ignored: int) -> Tensor:
        """One target a token set at the token's first piece (len(rows) x width), `ignored` everywhere else."""
        assert self.first is not None
        block = np.full((len(rows), width), ignored, dtype=np.int64)
        for line, (row, target) in enumerate(zip(rows, targets, strict=True)):
            first = self.first[row]
            block[line, self.text_at[row] + first] = target[: len(first)]
        return torch.from_numpy(block)


def close_up(before: str, after: str) -> tuple[str, str]:
    """An announcement with as few spaces as its words have without `{prompt}`: one where it stood between two, and none
    at either end. A space between it and what comes next is on its right side.
    """
    if PLACE not in before + after:
        return before, after
    before, after = (part.replace(f" {PLACE} ", f"{PLACE} ") for part in (before, after))
    if before.startswith(f"{PLACE} "):
        before = before.replace(f"{PLACE} ", PLACE)
    if before.endswith(f" {PLACE}"):
        before = before.replace(f" {PLACE}", f"{PLACE} ")
    if after.endswith(f" {PLACE}"):
        after = after.replace(f" {PLACE}", PLACE)
    return before, after


def _encode_words(part: str, encoder: Encoder) -> tuple[np.ndarray, int | None]:
    """The ids of an announcement's words, and how many of them stand before `{prompt}`, if it is there."""
    before, place, after = part.partition(PLACE)
    before, after = encoder.border(before, after) if place else (before, after)
    ids = [encoder.encode_prompt(half) for half in (before, after) if half]
    return np.concatenate([np.zeros(0, np.int32), *ids]), len(encoder.encode_prompt(before)) if place else None
