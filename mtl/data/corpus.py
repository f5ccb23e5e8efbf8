"""Rows of text that one or several tasks label, and how they are split."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as a source found it; `problem` says why it can't be used, where it can't."""

    fields: Mapping[str, Any]
    file: str
    line: int
    split: str | None = None
    problem: str | None = None


class Source(Protocol):
    """Where rows come from. `key` names the rows: two tasks with the same key share them."""

    text: str
    """Field of the text: a string, or a list of tokens where rows are already cut into tokens."""

    @property
    def key(self) -> str: ...

    def rows(self) -> Iterator[Row]: ...


@dataclass(frozen=True, eq=False)
class Corpus:
    """The usable rows of a source, in its order.

    Args:
        key: identity; tasks whose corpora have equal keys share rows.
        texts: N texts. Where rows came as tokens this is the tokens joined.
        tokens: N lists of tokens where rows came as tokens, else `None`.
        columns: field name -> N raw values (the text's own field is left out).
        splits: N positions in `SPLITS` (int8).
        files: the distinct files; lines: N (file position, line) pairs, for error messages.
        skipped: one message for each row left out (`on_error=skip`).
        straddling: texts that stand in two splits (only possible where the source gives the splits).
        duplicates: rows whose text an earlier row already has.
        digest: SHA-256 over the texts, columns and splits.
    """

    key: str
    texts: Sequence[str]
    tokens: Sequence[Sequence[str]] | None
    columns: Mapping[str, Sequence[Any]]
    splits: np.ndarray
    files: Sequence[str]
    lines: Sequence[tuple[int, int]]
    skipped: Sequence[str] = ()
    straddling: Sequence[str] = ()
    duplicates: int = 0
    digest: str = field(default="")

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, row: int) -> str:
        """`reviews.csv, line 17`: for messages about a row."""
        file, line = self.lines[row]
        return f"{self.files[file]}, line {line}"
