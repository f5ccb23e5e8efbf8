"""62,774 Chinese shopping reviews in ten categories (SophonPlus/ChineseNlpCorpus, for research)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pooch

from mtl.data.corpus import Row
from mtl.data.sources.files import Files
from mtl.errors import MtlError

NAME = "online_shopping_10_cats"
URL = f"https://raw.githubusercontent.com/SophonPlus/ChineseNlpCorpus/master/datasets/{NAME}/{NAME}.zip"
SHA256 = "6816ded66fde9d0927ecbd370b5e12d0174d1abac35192ec014ac2a0a8d25858"


@dataclass(frozen=True)
class OnlineShopping:
    """Reviews in `review`, with `cat` (the category) and `label` ("0" negative, "1" positive); one review is empty.

    Args:
        root: folder of online_shopping_10_cats.zip or .csv; then the folder MTL_DATA is looked at, then it is fetched.
    """

    root: str | None = None
    text: ClassVar[str] = "review"

    @property
    def key(self) -> str:
        """The file."""
        return f"online-shopping:{self._files().key}"

    def rows(self) -> Iterator[Row]:
        """The rows of the file."""
        return self._files().rows()

    def _files(self) -> Files:
        for folder in (self.root, os.environ.get("MTL_DATA")):
            for name in (f"{NAME}.csv", f"{NAME}.zip") if folder else ():
                path = Path(folder or "").expanduser() / name
                if path.is_file():
                    return Files(str(path), text=self.text, format="csv")
        return Files(fetch(), text=self.text, format="csv")


def fetch() -> str:
    """The zip in the user's cache folder, fetched from its public source where it isn't there yet."""
    folder = pooch.os_cache("mtl")
    try:
        return pooch.retrieve(URL, f"sha256:{SHA256}", f"{NAME}.zip", folder, progressbar=True)
    except (OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise MtlError(
            f"{NAME}.zip can't be fetched from {URL}; place it in a folder by hand and name that folder "
            f"by data.root= or the environment variable MTL_DATA ({reason:.200})"
        ) from None
