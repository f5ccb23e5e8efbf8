"""File formats: each is a function from (bytes, file for messages, field of the text) to rows."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import IO

from mtl.data.corpus import Row
from mtl.data.sources.formats.conll import conll
from mtl.data.sources.formats.delimited import delimited
from mtl.data.sources.formats.jsonl import jsonl
from mtl.data.sources.formats.lines import lines
from mtl.data.sources.formats.parquet import parquet

FORMATS: dict[str, Callable[[IO[bytes], str, str], Iterator[Row]]] = {
    "csv": partial(delimited, delimiter=","),
    "tsv": partial(delimited, delimiter="\t"),
    "jsonl": jsonl,
    "parquet": parquet,
    "conll": conll,
    "lines": lines,
}

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
}
