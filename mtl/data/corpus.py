"""Rows of text that one or several tasks label, and how they are split."""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, Protocol

import numpy as np

from mtl.data.split import SPLITS, Split, split_name, straddling
from mtl.data.text import text_of
from mtl.errors import MtlError, choices

CACHE_SIZE = 16
_cache: OrderedDict[tuple[Any, ...], "Corpus"] = OrderedDict()


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

    @property
    def text(self) -> str:
        """Field of the text: a string, or a list of tokens where rows are already cut into tokens."""
        ...

    @property
    def key(self) -> str:
        """Identity of the rows; changes when a file does."""
        ...

    def rows(self) -> Iterator[Row]:
        """Every row there is, broken ones with their problem."""
        ...


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


def read(source: Source, *, split: Split, on_error: Literal["stop", "skip"]) -> Corpus:
    """The rows of `source` that can be used, split.

    A row is broken where the source says so, where its text is missing or blank, or where `split.column` holds no
    split: `stop` raises at the first one, `skip` leaves them out and keeps a message for each. The last few corpora
    stay in memory, so that many runs in one process read a file once; a file that changes gives its source a new key.
    """
    if on_error not in ("stop", "skip"):
        raise MtlError(f"on_error should be {choices(['stop', 'skip'])}. Found {on_error!r}")
    wanted = (source.key, source.text, split, on_error)
    if wanted not in _cache:
        _cache[wanted] = _read(source, wanted[0], split, on_error)
        if len(_cache) > CACHE_SIZE:
            _cache.popitem(last=False)
    _cache.move_to_end(wanted)
    return _cache[wanted]


def _read(source: Source, key: str, split: Split, on_error: str) -> Corpus:
    rows: list[Row] = []
    texts: list[str] = []
    tokens: list[list[str]] = []
    given: list[str | None] = []
    skipped: list[str] = []
    for row in source.rows():
        try:
            text, cut, where = _checked(row, source.text, split.column)
            if rows and (cut is None) == bool(tokens):
                raise ValueError(f"field '{source.text}' is a text in some rows and a list of tokens in others")
        except ValueError as error:
            message = f"{row.file}, line {row.line}: {error}"
            if on_error == "stop":
                raise MtlError(f"{message}; on_error=skip leaves such rows out") from None
            skipped.append(message)
            continue
        rows.append(row)
        texts.append(text)
        given.append(where)
        if cut is not None:
            tokens.append(cut)
    if not rows:
        raise MtlError(f"{source}: there are no usable rows" + (f"; the first: {skipped[0]}" if skipped else ""))
    splits = split.assign(texts, given)
    files = list(dict.fromkeys(row.file for row in rows))
    counts = dict(zip(SPLITS, np.bincount(splits, minlength=len(SPLITS)).tolist(), strict=True))
    for name, count in counts.items():
        if not count:
            found = ", ".join(f"{n} {c}" for n, c in counts.items())
            raise MtlError(f"{', '.join(files)}: the {name} split is empty. Found {found}")
    names = dict.fromkeys(name for row in rows for name in row.fields if name != source.text)
    columns = {name: [row.fields.get(name) for row in rows] for name in names}
    positions = {file: position for position, file in enumerate(files)}
    return Corpus(
        key=key,
        texts=texts,
        tokens=tokens or None,
        columns=columns,
        splits=splits,
        files=files,
        lines=[(positions[row.file], row.line) for row in rows],
        skipped=skipped,
        straddling=straddling(texts, splits),
        duplicates=len(texts) - len(set(texts)),
        digest=_digest(texts, tokens, columns, splits),
    )


def _checked(row: Row, text: str, column: str | None) -> tuple[str, list[str] | None, str | None]:
    """Text, tokens and given split of a row; ValueError says what is wrong with it."""
    if row.problem:
        raise ValueError(row.problem)
    for name in (text, column):
        if name is not None and name not in row.fields:
            raise ValueError(f"field '{name}' is missing; there are {choices(row.fields) or 'none'}")
    try:
        found, tokens = text_of(row.fields[text])
    except ValueError as error:
        raise ValueError(f"field '{text}' {error}") from None
    try:
        where = row.split if column is None else split_name(row.fields[column])
    except ValueError as error:
        raise ValueError(f"field '{column}' {error}") from None
    return found, tokens, where


def _digest(*parts: Any) -> str:
    digest = sha256()
    for part in parts:
        plain = part.tolist() if isinstance(part, np.ndarray) else part
        digest.update(json.dumps(plain, default=str).encode())
    return digest.hexdigest()
