"""A wide matrix in pieces that stay in a processor's cache, so that several passes over it read memory once."""

from collections.abc import Iterator

from torch import Tensor

CACHED, LAUNCHED = 1 << 17, 1 << 24
"""Numbers of a piece: half a megabyte, or, on a GPU, enough to make its kernels worth their start."""


def pieces(matrix: Tensor, *rows: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Views of the same columns of a K x N matrix and of rows of N numbers, from the first columns to the last."""
    numbers = CACHED if matrix.device.type == "cpu" else LAUNCHED
    width = max(numbers // len(matrix), 1)
    return zip(matrix.split(width, 1), *(row.split(width) for row in rows), strict=True)
