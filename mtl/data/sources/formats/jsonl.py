"""One JSON object a line."""

import json
from collections.abc import Iterator
from typing import IO

from mtl.data.corpus import Row
from mtl.data.sources.formats.utf8 import not_utf8
from mtl.data.sources.opening import decoded


def jsonl(stream: IO[bytes], file: str, text: str) -> Iterator[Row]:
    """A row for each line that isn't blank."""
    for number, line in enumerate(decoded(stream), 1):
        if line.isspace():
            continue
        if problem := not_utf8([line]):
            yield Row({}, file, number, problem=problem)
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Row({}, file, number, problem=f"not JSON: {error}")
            continue
        if isinstance(found, dict):
            yield Row(found, file, number)
        else:
            yield Row({}, file, number, problem=f"should be a JSON object. Found {line.strip():.60}")
