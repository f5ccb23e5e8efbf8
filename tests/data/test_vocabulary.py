"""Text to ids."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.cli.build import training_texts
from mtl.data.task import TaskSpec
from mtl.data.vocabulary import UNKNOWN, Vocabulary, pieces
from mtl.errors import MtlError

texts = st.lists(st.text("abc好坏", max_size=8), max_size=8)


def fit(found, unit="characters", min_count=1, extra=()):
    return Vocabulary.fit(found, unit, min_count=min_count, extra=extra)


@given(texts, st.integers(1, 3), st.text("axy", max_size=3))
def test_pieces_that_are_frequent_enough_are_numbered_from_two_commonest_first(found, min_count, extra):
    vocabulary = fit(found, min_count=min_count, extra=[extra])
    counts = Counter("".join(found))
    kept = sorted((name for name in counts if counts[name] >= min_count), key=lambda name: (-counts[name], name))
    assert list(vocabulary.names) == kept + sorted(set(extra) - set(kept))
    known = {name: number + 2 for number, name in enumerate(vocabulary.names)}
    for text in found:
        assert vocabulary.encode(text).tolist() == [known.get(character, UNKNOWN) for character in text]
    assert len(vocabulary) == len(vocabulary.names) + 2


def test_the_order_of_the_texts_does_not_matter():
    assert fit(["ab", "b好", "c"]) == fit(["c", "b好", "ab"])


def test_words_are_chinese_characters_and_whole_latin_words_in_lower_case():
    assert pieces("我爱GPU卡, v2！𠀀𠀁", "words") == ["我", "爱", "gpu", "卡", ",", "v2", "！", "𠀀", "𠀁"]
    assert pieces("Café naïve", "words") == ["café", "naïve"]
    assert list(pieces("我 GPU", "characters")) == ["我", " ", "G", "P", "U"]


@given(st.text(min_size=1).filter(lambda text: not text.isspace()))
def test_a_text_that_is_not_blank_has_a_piece(text):
    assert len(pieces(text, "words")) > 0


@given(
    st.lists(st.sampled_from(["好", "GPU", "a1b", "好a坏", "", " ", "！"]), max_size=8),
    st.sampled_from(["words", "characters"]),
)
def test_each_token_begins_where_the_tokens_before_it_end(tokens, unit):
    vocabulary = fit(["好坏gpuGPUab1"], unit)
    ids, first = vocabulary.encode_tokens(tokens)
    expected, positions = [], []
    for token in tokens:
        positions.append(len(expected))
        expected += vocabulary.encode(token).tolist() or [UNKNOWN]
    assert ids.tolist() == expected
    assert first.tolist() == positions


def test_what_stands_only_outside_the_training_split_is_unknown(literal):
    source = literal(["甲乙", "乙", "甲丙", "丁甲"], label=["a", "b", "a", "b"])
    loaded = {"t": TaskSpec("t", "classification", source).load()}
    assert training_texts(loaded) == ["甲乙", "乙"]
    vocabulary = fit(training_texts(loaded))
    assert vocabulary.encode("甲丙丁").tolist() == [vocabulary.encode("甲")[0], UNKNOWN, UNKNOWN]
    assert vocabulary.encode("甲")[0] != UNKNOWN


def test_a_corpus_that_two_tasks_share_is_counted_once(literal):
    texts = ["甲", "乙", "丙", "丁"]
    one, other = literal(texts, x=["a", "b"] * 2, y=["c", "d"] * 2), literal(texts, z=["e", "f"] * 2)
    specs = [("x", one), ("y", one), ("z", other)]
    loaded = {name: TaskSpec(name, "classification", source, name).load() for name, source in specs}
    assert training_texts(loaded) == ["甲", "乙", "甲", "乙"]


def test_comes_back_from_its_state():
    vocabulary = fit(["ab好"], "words")
    back = Vocabulary.from_state(vocabulary.state())
    assert back == vocabulary
    np.testing.assert_array_equal(back.encode("好 ab z"), vocabulary.encode("好 ab z"))


def test_an_unknown_unit_is_refused():
    with pytest.raises(MtlError, match=r"unit should be characters or words. Found 'bytes'"):
        fit(["a"], "bytes")
