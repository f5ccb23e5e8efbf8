"""Parquet, through pyarrow."""

import io
from collections.abc import Iterator
from typing import IO

from mtl.data.corpus import Row
from mtl.errors import MtlError, choices


def parquet(stream: IO[bytes], file: str, text: str) -> Iterator[Row]:
    """A row for each row; its `line` counts rows from 1."""
    import pyarrow
    import pyarrow.parquet

    try:
        opened = pyarrow.parquet.ParquetFile(io.BytesIO(stream.read()))
        names = opened.schema_arrow.names
        if text not in names:
            raise MtlError(f"{file}: text should be one of its columns: {choices(names)}. Found '{text}'")
        found = (fields for batch in opened.iter_batches() for fields in batch.to_pylist())
        for number, fields in enumerate(found, 1):
            yield Row(fields, file, number)
    except pyarrow.ArrowException as error:
        raise MtlError(f"{file} can't be read as parquet: {error}") from None
