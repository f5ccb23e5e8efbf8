"""One text a line, and nothing else."""

from collections.abc import Iterator
from typing import IO

from mtl.data.corpus import Row
from mtl.data.sources.formats.utf8 import not_utf8
from mtl.data.sources.opening import decoded


def lines(stream: IO[bytes], file: str, text: str) -> Iterator[Row]:
    """A row for each line, blank or not."""
    for number, line in enumerate(decoded(stream), 1):
        yield Row({text: line.rstrip("\r\n")}, file, number, problem=not_utf8([line]))
