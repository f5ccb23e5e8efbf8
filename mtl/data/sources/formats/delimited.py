"""CSV and TSV with a header line."""

import csv
from collections.abc import Iterator
from typing import IO

from mtl.data.corpus import Row
from mtl.data.sources.formats.utf8 import not_utf8
from mtl.data.sources.opening import decoded
from mtl.errors import MtlError, choices


def delimited(stream: IO[bytes], file: str, text: str, delimiter: str) -> Iterator[Row]:
    """A row for each record, at the line where it begins; empty lines between records are no rows."""
    reader = csv.reader(decoded(stream, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield Row({}, file, line, problem=f"not CSV: {error}; is a quote left open?")
            continue
        if not record:
            continue
        if header is None:
            header = _header(record, file, line, text)
        elif problem := not_utf8(record) or _problem(record, header):
            yield Row({}, file, line, problem=problem)
        else:
            yield Row(dict(zip(header, record, strict=True)), file, line)
    if header is None:
        raise MtlError(f"{file} has no header line")


def _header(header: list[str], file: str, line: int, text: str) -> list[str]:
    if problem := not_utf8(header):
        raise MtlError(f"{file}, line {line}: {problem}")
    if len(set(header)) < len(header):
        raise MtlError(f"{file}, line {line}: column names should be distinct. Found {', '.join(header)}")
    if text not in header:
        raise MtlError(f"{file}: text should be one of its columns: {choices(header)}. Found '{text}'")
    return header


def _problem(record: list[str], header: list[str]) -> str | None:
    if len(record) != len(header):
        return f"the header has {len(header)} columns. Found {len(record)} fields"
    return None
