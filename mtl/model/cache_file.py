"""An array on disk that the first who needs it computes and all others read, mapped into memory."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from mtl.errors import MtlError


def find_or_make(
    path: Path,
    shape: tuple[int, int],
    blocks: Callable[[bool], Iterable[np.ndarray]],
    sound: Callable[[np.ndarray], bool],
) -> np.ndarray:
    """The float32 array in a .npy file, read only.

    It is made under another name and renamed, so that a file that is there is whole. One process at a time makes it;
    the others wait, and the kernel gives the lock of one that is killed to the next.

    Args:
        path: the file.
        shape: rows x width.
        blocks: the array's rows, block by block, called only where they have to be made; is told whether that is
            because the file that is there can't be used.
        sound: whether an array of that shape is the one that is meant.

    Raises:
        MtlError: the folder can't be written, or is full.
    """
    if (found := _read(path, shape, sound)) is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (found := _read(path, shape, sound)) is None:
                _make(path, shape, blocks(path.exists()))
                found = np.load(path, mmap_mode="r")
    except OSError as error:
        raise MtlError(f"trunk.cache: {path} can't be written: {error.strerror or error}") from None
    return np.asarray(found)


def _read(path: Path, shape: tuple[int, int], sound: Callable[[np.ndarray], bool]) -> np.ndarray | None:
    """The array, or `None` for a file that is missing, broken or holds something else."""
    try:
        found = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError, AttributeError):
        return None
    return found if found.shape == shape and found.dtype == np.float32 and sound(found) else None


def _make(path: Path, shape: tuple[int, int], blocks: Iterable[np.ndarray]) -> None:
    """Write, then rename; whoever calls holds the lock, so an older `.part` is of one that was killed."""
    needed, free = 4 * shape[0] * shape[1], shutil.disk_usage(path.parent).free
    if needed > free:
        raise MtlError(f"trunk.cache needs {megabytes(needed)} in {path.parent}. Found {megabytes(free)} free")
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype="<f4").data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def megabytes(size: int) -> str:
    """`1,234.5 MB`."""
    return f"{size / 1e6:,.1f} MB"
