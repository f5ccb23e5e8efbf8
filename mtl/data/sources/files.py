"""Rows from files of your own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Literal

from mtl.data.corpus import Row
from mtl.data.sources.formats import FORMATS, SUFFIXES
from mtl.data.sources.opening import Located, locate, opened
from mtl.data.split import SPLITS, split_name
from mtl.errors import MtlError, choices

Paths = str | Mapping[str, str]


@dataclass(frozen=True)
class Files:
    """One file, or one file a split.

    Each may be compressed (.gz, .bz2, .xz), the one member of a .zip, or `archive.zip/inner/path.csv`.

    Args:
        path: the file, or a mapping from train, val and test to one file each.
        text: field of the text; the name that the text gets where the format has no names (conll, lines).
        format: `None` goes by the suffix.
        labels_path: for `lines`: a file with one label a line, in the field `label`; as many as `path`.
        folder: where relative paths begin.
    """

    path: Paths
    text: str = "text"
    format: Literal["csv", "tsv", "jsonl", "parquet", "conll", "lines"] | None = None
    labels_path: Paths | None = None
    folder: str = "."

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", _by_split("path", self.path))
        if self.format is not None and self.format not in FORMATS:
            raise MtlError(f"format should be {choices(FORMATS)}. Found '{self.format}'")
        if self.labels_path is None:
            return
        object.__setattr__(self, "labels_path", _by_split("labels_path", self.labels_path))
        if self.format not in (None, "lines"):
            raise MtlError(f"labels_path is for format lines. Found format '{self.format}'")
        if list(_items(self.path)) != list(_items(self.labels_path)):
            raise MtlError(f"labels_path should have the splits of path. Found {self.labels_path} for {self.path}")

    def __hash__(self) -> int:
        return hash(repr(self))

    @property
    def key(self) -> str:
        """The fields, and the place, size and time of each file."""
        found = [self._locate(path).stamp for paths in (self.path, self.labels_path) for path in _items(paths).values()]
        return f"files:{list(_items(self.path))}:{self.format}:{self.text}:{found}"

    def rows(self) -> Iterator[Row]:
        """The rows of each file in turn."""
        labels = _items(self.labels_path)
        for split, path in _items(self.path).items():
            rows = self._labelled(path, labels[split]) if labels else self._rows(path, self.format)
            for row in rows:
                yield replace(row, split=split) if split else row

    def _locate(self, path: str) -> Located:
        return locate(Path(self.folder).expanduser() / Path(path).expanduser())

    def _rows(self, path: str, name: str | None) -> Iterator[Row]:
        located = self._locate(path)
        name = name or SUFFIXES.get(located.suffix)
        if name is None:
            raise MtlError(
                f"{path}: the suffix should be {choices(SUFFIXES)}, or format be given: {choices(FORMATS)}. "
                f"Found '{located.suffix}'"
            )
        with opened(located) as stream:
            yield from FORMATS[name](stream, path, self.text)

    def _labelled(self, path: str, labels_path: str) -> Iterator[Row]:
        texts = list(self._rows(path, "lines"))
        labels = list(self._rows(labels_path, "lines"))
        if len(texts) != len(labels):
            raise MtlError(
                f"{labels_path} should have one line for each line of {path}. Found {len(labels)} for {len(texts)}"
            )
        for row, label in zip(texts, labels, strict=True):
            problem = row.problem or (label.problem and f"its label in {labels_path}: {label.problem}")
            yield replace(row, fields={**row.fields, "label": label.fields[self.text]}, problem=problem)


def _by_split(field: str, path: Paths) -> Paths:
    if isinstance(path, str | PathLike):
        return str(path)
    if not isinstance(path, Mapping):
        raise MtlError(f"{field} should be a path, or a mapping from train, val and test to paths. Found {path!r}")
    try:
        named = {split_name(split): str(file) for split, file in path.items()}
    except ValueError as error:
        raise MtlError(f"{field}: a split {error}") from None
    if len(named) < len(path):
        raise MtlError(f"{field} should name a split once. Found {', '.join(map(str, path))}")
    return {split: named[split] for split in SPLITS if split in named}


def _items(path: Paths | None) -> Mapping[str | None, str]:
    """Split (`None` where the file isn't by split) -> path."""
    if path is None:
        return {}
    return {None: path} if isinstance(path, str) else dict(path)
