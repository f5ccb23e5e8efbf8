"""CoNLL: one token a line with its tags in further columns, a blank line between sentences."""

from collections.abc import Iterator
from typing import IO

from mtl.data.corpus import Row
from mtl.data.sources.formats.utf8 import not_utf8
from mtl.data.sources.opening import decoded


def conll(stream: IO[bytes], file: str, text: str) -> Iterator[Row]:
    """A row for each sentence: tokens (column 0), the columns "1", "2", ..., and "label", which is the last of them.

    Columns are parted by tabs where the line holds one, else by spaces. `-DOCSTART-` lines are left out, and so are
    comments: lines before a sentence's first token that begin with # and hold no tab.
    """
    records: list[list[str]] = []
    start, problem, problem_line = 0, None, 0
    for number, line in enumerate(decoded(stream), 1):
        line = line.rstrip("\r\n")
        if not line.strip(" \t"):
            if records:
                yield _sentence(records, file, start, text, problem, problem_line)
            records, problem = [], None
        elif line.startswith("-DOCSTART-") or (not records and line.startswith("#") and "\t" not in line):
            continue
        else:
            record = line.split("\t") if "\t" in line else line.split()
            start = start if records else number
            records.append(record)
            if problem is None and (problem := not_utf8(record) or _problem(record, records[0])):
                problem_line = number
    if records:
        yield _sentence(records, file, start, text, problem, problem_line)


def _problem(record: list[str], first: list[str]) -> str | None:
    if len(record) != len(first):
        return f"the sentence's first line has {len(first)} columns. Found {len(record)}"
    return None if record[0] else "the first column should hold a token. Found nothing"


def _sentence(
    records: list[list[str]], file: str, start: int, text: str, problem: str | None, problem_line: int
) -> Row:
    if problem:
        return Row({}, file, problem_line, problem=problem)
    tokens, *tags = (list(column) for column in zip(*records, strict=True))
    fields = {text: tokens, **{str(i): column for i, column in enumerate(tags, 1)}}
    return Row({**fields, "label": tags[-1]} if tags else fields, file, start)
