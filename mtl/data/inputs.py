"""A corpus as the trunk will read it: announced, encoded and cut to length, ready to be padded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mtl.data.encoder import Encoder
from mtl.errors import MtlError

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

    """

    ids: np.ndarray
    starts: np.ndarray
    text_at: np.ndarray
    first: Sequence[np.ndarray] | None
    truncated: int
    padding: int = 0
    text_to: np.ndarray | None = None
    numbers: np.ndarray | None = None

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
        words: dict[str, np.ndarray] = {"": np.zeros(0, np.int32)}
        rows, text_at, text_to, first, truncated = [], [], [], [], 0
        for row, text in enumerate(texts):
            said, follows = announce(text)
            if encoder.length is not None and (said or follows or virtual):
                raise MtlError("prompt: an image has no place for words or learned vectors; take prompt=none")
            said, read = encoder.border(said, text)
            for part in (said, follows):
                if part not in words:
                    words[part] = encoder.encode_prompt(part)
            before = np.concatenate((encoder.start, words[said]))
            after = np.concatenate((words[follows], encoder.end))
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
            if tokens is not None:
                first.append(firsts[firsts < room])
        starts = np.cumsum([0] + [len(row) for row in rows])
        flat = np.concatenate(rows) if rows else np.zeros(0, np.int32)
        kept = first if tokens is not None else None
        return cls(flat, starts, np.array(text_at), kept, truncated, encoder.padding, np.array(text_to))

    def bounds(self, rows: np.ndarray) -> np.ndarray | None:
        """Where the announced texts of `rows` begin and end (len(rows) x 2)."""
        return None if self.text_to is None else np.stack((self.text_at[rows], self.text_to[rows]), axis=1)

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
