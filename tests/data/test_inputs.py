"""Announced, encoded, cut and padded rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.inputs import Inputs
from mtl.data.vocabulary import PAD, Vocabulary
from mtl.errors import MtlError

vocabulary = Vocabulary("characters", tuple("abcde<>"))
words = st.text("abcde", max_size=12)


def spelt(ids):
    return "".join(vocabulary.names[i - 2] for i in ids)


def build(texts, before="", after="", max_length=100, tokens=None):
    return Inputs.build(texts, tokens, lambda text: (before, after), vocabulary, max_length)


def row(inputs, i):
    return inputs.ids[inputs.starts[i] : inputs.starts[i + 1]]


@given(
    st.lists(words.filter(len), min_size=1, max_size=6),
    st.text("<", max_size=4),
    st.text(">", max_size=4),
    st.integers(1, 15),
)
def test_truncation_cuts_the_text_and_never_the_prompt(texts, before, after, room):
    inputs = build(texts, before, after, len(before) + len(after) + room)
    for i, text in enumerate(texts):
        assert spelt(row(inputs, i)) == before + text[:room] + after
        assert inputs.text_at[i] == len(before)
    assert inputs.truncated == sum(len(text) > room for text in texts)
    assert inputs.lengths.tolist() == [len(before) + min(len(text), room) + len(after) for text in texts]


def test_each_text_has_its_own_announcement():
    inputs = Inputs.build(["ab", "c"], None, lambda text: ("<" * len(text), ">"), vocabulary, 10)
    assert [spelt(row(inputs, i)) for i in (0, 1)] == ["<<ab>", "<c>"]
    assert inputs.text_at.tolist() == [2, 1]


def test_a_prompt_that_leaves_no_room_is_an_error():
    with pytest.raises(MtlError, match=r"max_length should leave room for a text after the prompt's 4 tokens. Found 4"):
        build(["a"], "<<", ">>", 4)


@given(
    st.lists(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=5), min_size=1, max_size=4),
    st.integers(0, 3),
    st.integers(1, 9),
)
def test_tags_stand_at_the_first_piece_of_their_token_behind_the_prompt(tokens, prompt, room):
    inputs = build(["".join(row) for row in tokens], "<" * prompt, ">", prompt + 1 + room, tokens)
    width = int(inputs.lengths.max()) + 1
    targets = [np.arange(len(row)) + 10 for row in tokens]
    placed = inputs.place(targets, np.arange(len(tokens)), width, -7)
    for i, cut in enumerate(tokens):
        expected = [-7] * width
        at = prompt
        for number, token in enumerate(cut):
            if at < prompt + room:
                expected[at] = number + 10
            at += len(token)
        assert placed[i].tolist() == expected


@given(st.lists(words.filter(len), min_size=1, max_size=6), st.data())
def test_padding_equals_a_loop(texts, data):
    inputs = build(texts)
    rows = np.array(data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=8)))
    width = int(inputs.lengths[rows].max()) + data.draw(st.integers(0, 3))
    padded = inputs.pad(rows, width)
    for line, i in zip(padded, rows, strict=True):
        assert line.tolist() == vocabulary.encode(texts[i]).tolist() + [PAD] * (width - len(texts[i]))
