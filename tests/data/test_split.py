"""Splits by a hash of the text."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.split import SPLITS, Split, straddling
from mtl.errors import MtlError

texts = st.lists(st.text(min_size=1), min_size=1, max_size=40)


def hashed(split, found):
    return split.assign(found, [None] * len(found))


@given(texts, st.randoms())
def test_equal_texts_share_a_split_in_any_order(found, random):
    split = Split(fractions=(0.4, 0.3, 0.3))
    where = dict(zip(found, hashed(split, found), strict=True))
    shuffled = found + found
    random.shuffle(shuffled)
    assert [where[text] for text in shuffled] == hashed(split, shuffled).tolist()


def test_fractions_are_approached():
    fractions = (0.5, 0.2, 0.3)
    splits = hashed(Split(fractions), [f"text {i}" for i in range(20_000)])
    np.testing.assert_allclose(np.bincount(splits) / 20_000, fractions, atol=0.015)


def test_follows_the_salted_hash_of_the_text():
    text = "好书"
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8, salt=(7).to_bytes(8, "little")).digest()
    share = int.from_bytes(digest, "little") / 2**64
    below, above = (
        Split((share + 1e-3, 1e-4, 1 - share - 1.1e-3), seed=7),
        Split((share - 1e-3, 2e-3, 1 - share - 1e-3), seed=7),
    )
    assert hashed(below, [text]).tolist() == [0]
    assert hashed(above, [text]).tolist() == [1]


def test_another_seed_is_another_split():
    found = [str(i) for i in range(200)]
    assert hashed(Split(), found).tolist() != hashed(Split(seed=1), found).tolist()


def test_given_splits_stand_and_the_rest_is_hashed():
    found = [str(i) for i in range(300)]
    names = [SPLITS[i % 3] if i < 150 else None for i in range(300)]
    splits = Split().assign(found, names)
    assert splits[:150].tolist() == [i % 3 for i in range(150)]
    assert splits[150:].tolist() == hashed(Split(), found[150:]).tolist()


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=30))
def test_carving_val_keeps_equal_texts_together_and_test_as_it_is(found):
    names = ["test", *["train"] * (len(found) - 1)]
    splits = Split((0.4, 0.4, 0.2)).assign(found, names)
    assert splits[0] == 2
    assert straddling(found[1:], splits[1:]) == []


@pytest.mark.parametrize(
    "fractions", [(0.8, 0.2), (0.8, 0.3, 0.1), (0.9, 0.1, 0.0), (1.2, -0.1, -0.1), ("a", 0.1, 0.1)]
)
def test_refuses_fractions_that_are_no_shares(fractions):
    with pytest.raises(MtlError, match=r"split.fractions should be three positive shares .* Found \("):
        Split(fractions)


@pytest.mark.parametrize("seed", [-1, 1.5, "x", True])
def test_refuses_a_seed_that_is_no_salt(seed):
    with pytest.raises(MtlError, match=r"split.seed should be an integer .* Found"):
        Split(seed=seed)


def test_lists_become_tuples_so_that_equal_splits_are_one():
    assert hash(Split([0.8, 0.1, 0.1])) == hash(Split())
