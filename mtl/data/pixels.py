"""A grey image as the text of a row, its pixels as ids: all that reads, splits and shares rows stays as it is."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mtl.errors import MtlError

HEAD = "data:image/x-portable-graymap;base64,"
"""How the text of an image begins: a data URI (RFC 2397) of a binary PGM, which image libraries write and read."""


def to_uri(image_HW: np.ndarray) -> str:
    """The text of an image of H x W grey values (uint8)."""
    height, width = image_HW.shape
    content = f"P5 {width} {height} 255\n".encode() + image_HW.astype(np.uint8).tobytes()
    return HEAD + base64.b64encode(content).decode()


def is_image(text: str) -> bool:
    """Whether a text is an image."""
    return text.startswith(HEAD)


@dataclass(frozen=True)
class Pixels:
    """The encoder of a trunk that reads images of one size: a place a pixel, row by row, and its grey value as the id.

    Args:
        height: H.
        width: W.
    """

    height: int
    width: int
    unit: ClassVar[str] = "characters"
    padding: ClassVar[int] = 0
    unknown: ClassVar[int | None] = None
    start: ClassVar[np.ndarray] = np.zeros(0, np.int32)
    end: ClassVar[np.ndarray] = np.zeros(0, np.int32)
    limit: ClassVar[int | None] = None

    @property
    def length(self) -> int:
        """H x W."""
        return self.height * self.width

    def __len__(self) -> int:
        return 256

    def border(self, before: str, text: str) -> tuple[str, str]:
        """An image has no border to words."""
        return before, text

    def encode(self, text: str) -> np.ndarray:
        """The grey values of an image (int32); MtlError where the text is none, or one of another size."""
        if not is_image(text):
            raise MtlError(f"trunk: it reads images ({HEAD}...). Found the text '{text:.40}'")
        try:
            kind, width, height, rest = base64.b64decode(text[len(HEAD) :], validate=True).split(None, 3)
            most, pixels = rest[:3], rest[4:]  # one blank after 255, and then any bytes
        except (binascii.Error, ValueError):
            raise MtlError("trunk: an image should be a binary PGM in base64. Found something else") from None
        if (kind, most) != (b"P5", b"255"):
            raise MtlError(f"trunk: an image should be a PGM with P5 and 255. Found {kind!r:.20} and {most!r}")
        found = tuple(side.decode(errors="replace") for side in (width, height))
        if found != (str(self.width), str(self.height)) or len(pixels) != self.length:
            raise MtlError(
                f"trunk: an image should be {self.width} x {self.height} pixels. "
                f"Found {' x '.join(found)} with {len(pixels)} values"
            )
        return np.frombuffer(pixels, np.uint8).astype(np.int32)

    def encode_prompt(self, text: str) -> np.ndarray:
        """Words are no image: MtlError."""
        return self.encode(text)

    def encode_tokens(self, tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """MtlError: an image has no tokens to tag."""
        raise MtlError(f"trunk: it reads whole images, not lists of tokens. Found {list(tokens)!r:.60}")

    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return {"pixels": [self.height, self.width]}
