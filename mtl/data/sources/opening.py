"""Opening a file that may be compressed or lie in a zip."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

from mtl.errors import MtlError

COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
NOT_READ = (  # RuntimeError: an encrypted zip
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    RuntimeError,
)


@dataclass(frozen=True)
class Located:
    """A file on disk, and the member that is meant where it is a zip."""

    file: Path
    member: str | None = None

    @property
    def stamp(self) -> str:
        """Changes when the file does."""
        stat = self.file.stat()
        return f"{self.file.resolve()}!{self.member or ''}:{stat.st_size}:{stat.st_mtime_ns}"

    @property
    def suffix(self) -> str:
        """The suffix that tells the format: `.csv` for `a.csv.gz`."""
        name = Path(self.member or self.file.name)
        return (Path(name.stem) if name.suffix.lower() in COMPRESSED else name).suffix.lower()


def locate(path: Path) -> Located:
    """The file at `path`: itself, the one member of a zip, or `archive.zip/inner/path`."""
    if path.is_file():
        return Located(path, _member(path)) if path.suffix.lower() == ".zip" else Located(path)
    for parent in path.parents:
        if parent.suffix.lower() == ".zip" and parent.is_file():
            return Located(parent, _member(parent, path.relative_to(parent).as_posix()))
    folder = path if path.is_dir() else path.parent
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    if path.is_dir():
        raise MtlError(f"{path} is a folder, not a file. It holds {', '.join(names[:10]) or 'nothing'}")
    near = get_close_matches(path.name, names)
    raise MtlError(f"there is no file {path}" + (f"; near it: {', '.join(near)}" if near else ""))


def _member(archive: Path, wanted: str | None = None) -> str:
    with _explained(archive), zipfile.ZipFile(archive) as opened:
        members = [name for name in opened.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if wanted in members:
        return wanted
    listed = ", ".join(members[:10]) or "nothing"
    if wanted is not None:
        raise MtlError(f"{archive} has no member {wanted}. It holds {listed}")
    if len(members) != 1:
        raise MtlError(f"{archive} should hold one file, or the path should go on to a member. It holds {listed}")
    return members[0]


@contextmanager
def opened(located: Located) -> Generator[IO[bytes]]:
    """The bytes of a file, decompressed; what can't be read is an MtlError that names the file."""
    with _explained(located.file):
        if located.member is None:
            with located.file.open("rb") as stream:
                yield _decompressed(stream, located.file.name)
        else:
            with zipfile.ZipFile(located.file) as archive, archive.open(located.member) as stream:
                yield _decompressed(stream, located.member)


def _decompressed(stream: IO[bytes], name: str) -> IO[bytes]:
    return COMPRESSED.get(Path(name).suffix.lower(), lambda plain: plain)(stream)


def decoded(stream: IO[bytes], newline: str = "\n") -> io.TextIOWrapper:
    """UTF-8 text without the byte order mark; a byte that isn't UTF-8 becomes a surrogate, for `not_utf8` to find."""
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline=newline)


@contextmanager
def _explained(file: Path) -> Generator[None]:
    try:
        yield
    except NOT_READ as error:
        raise MtlError(f"{file} can't be read: {error}") from None
