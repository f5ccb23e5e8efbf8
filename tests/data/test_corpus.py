"""Reading a source into a corpus."""

from dataclasses import dataclass, replace

import pytest

from mtl.data import corpus as module
from mtl.data.corpus import SPLITS, Row, read
from mtl.data.split import Split
from mtl.errors import MtlError


@dataclass
class Given:
    """A source made of rows at hand; counts how often it is read."""

    found: list[Row]
    key: str
    text: str = "text"
    times: int = 0

    def rows(self):
        self.times += 1
        return iter(self.found)


@pytest.fixture
def given(request):
    counter = iter(range(1000))

    def make(rows, **options):
        return Given(rows, f"{request.node.nodeid}{next(counter)}", **options)

    return make


def numbered(n=60, **fields):
    return [Row({"text": f"review {i}", "stars": i, **fields}, "a.csv", i + 2) for i in range(n)]


def load(source, on_error="stop", **split):
    return read(source, split=Split(**split), on_error=on_error)


def test_keeps_rows_in_their_order_with_columns_and_places(given):
    corpus = load(given(numbered()))
    assert corpus.texts == [f"review {i}" for i in range(60)]
    assert corpus.columns == {"stars": list(range(60))}
    assert corpus.tokens is None
    assert corpus.where(3) == "a.csv, line 5"
    assert len(corpus) == len(corpus.splits) == 60
    assert corpus.splits.dtype.name == "int8"


def test_a_field_that_some_rows_lack_is_none_there(given):
    rows = [*numbered(), Row({"text": "x", "other": 1}, "b.csv", 1)]
    corpus = load(given(rows))
    assert corpus.columns["stars"][-1] is None
    assert corpus.columns["other"][:2] == [None, None]
    assert corpus.files == ["a.csv", "b.csv"]
    assert corpus.where(60) == "b.csv, line 1"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row({"text": "x"}, "a.csv", 9, problem="5 fields"), ["5 fields"]),
        (Row({"text": ""}, "a.csv", 9), ["'text'", "empty"]),
        (Row({"text": " \u3000\n"}, "a.csv", 9), ["'text'", "empty"]),
        (Row({"text": None}, "a.csv", 9), ["'text'", "empty"]),
        (Row({"txt": "x", "y": 1}, "a.csv", 9), ["'text'", "missing", "txt or y"]),
        (Row({"text": 17}, "a.csv", 9), ["'text'", "17"]),
        (Row({"text": "a\ud800"}, "a.csv", 9), ["'text'", "surrogate"]),
        (Row({"text": ["a", "b"]}, "a.csv", 9), ["'text'", "list of tokens"]),
    ],
)
def test_a_broken_row_stops_or_is_skipped_with_its_place(given, row, words):
    source = given([*numbered(), row, *numbered(3)])
    with pytest.raises(MtlError) as stopped:
        load(source)
    message = str(stopped.value)
    assert message.startswith("a.csv, line 9: ")
    assert message.endswith("on_error=skip leaves such rows out")
    assert "\n" not in message
    assert all(word in message for word in words)

    corpus = load(source, on_error="skip")
    assert len(corpus) == 63
    assert [f"{skipped}; on_error=skip leaves such rows out" for skipped in corpus.skipped] == [message]


def test_on_error_names_what_is_allowed(given):
    with pytest.raises(MtlError, match=r"on_error should be stop or skip. Found 'ignore'"):
        load(given(numbered()), on_error="ignore")


def test_a_source_without_usable_rows_says_so(given):
    with pytest.raises(MtlError, match="no usable rows"):
        load(given([]))
    with pytest.raises(MtlError, match=r"no usable rows; the first: a\.csv, line 1: .*empty"):
        load(given([Row({"text": ""}, "a.csv", 1)]), on_error="skip")


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["我", "爱", "北京"], "我爱北京"),
        (["A", "1", "!"], "A1!"),
        (["I", "am", "here"], "I am here"),
        (["我", "OK"], "我 OK"),
        (["東京", "タワー"], "東京タワー"),
    ],
)
def test_tokens_are_joined_as_their_script_is_written(given, tokens, text):
    rows = [replace(row, fields={"text": [*"第", *str(i)]}) for i, row in enumerate(numbered())]
    corpus = load(given([*rows, Row({"text": tokens}, "a", 1)]))
    assert corpus.texts[-1] == text
    assert corpus.tokens[-1] == tokens


def test_splits_come_from_a_column_under_their_common_names(given):
    names = ["train", "Validation", "valid", "dev", "val", "test"]
    rows = [Row({"text": str(i), "part": name}, "a", i) for i, name in enumerate(names)]
    corpus = load(given(rows), column="part")
    assert [SPLITS[s] for s in corpus.splits] == ["train", "val", "val", "val", "val", "test"]


def test_an_unknown_split_in_the_column_is_a_broken_row(given):
    rows = [Row({"text": str(i), "part": part}, "a", i) for i, part in enumerate(["train", "val", "test", "tset"])]
    with pytest.raises(MtlError, match=r"a, line 3: field 'part' should be train, val or test. Found 'tset'"):
        load(given(rows), column="part")
    assert len(load(given(rows), on_error="skip", column="part").skipped) == 1
    with pytest.raises(MtlError, match=r"field 'prat' is missing; there are text or part"):
        load(given(rows), column="prat")


def test_val_is_carved_out_of_train_where_only_train_and_test_are_given(given):
    rows = [replace(row, split="test" if i % 4 == 0 else "train") for i, row in enumerate(numbered(4000))]
    corpus = load(given(rows), fractions=(0.6, 0.2, 0.2))
    assert [s == 2 for s in corpus.splits] == [i % 4 == 0 for i in range(4000)]
    assert (corpus.splits == 1).sum() / 3000 == pytest.approx(0.25, abs=0.03)


def test_an_empty_split_is_an_error_with_the_counts(given):
    rows = [replace(row, split="train" if i else "val") for i, row in enumerate(numbered(5))]
    with pytest.raises(MtlError, match=r"a\.csv: the test split is empty. Found train 4, val 1, test 0"):
        load(given(rows))


def test_reports_texts_that_straddle_given_splits_and_duplicates(given):
    texts = [("a", "train"), ("a", "train"), ("b", "train"), ("b", "test"), ("b", "test"), ("c", "val")]
    corpus = load(given([Row({"text": t}, "f", i, split) for i, (t, split) in enumerate(texts)]))
    assert corpus.straddling == ["b"]
    assert corpus.duplicates == 3
    assert len(corpus) == 6


def test_the_digest_tells_texts_columns_and_splits_apart(given):
    rows = numbered()
    same = load(given(rows)).digest
    assert load(given(rows)).digest == same
    other = [replace(rows[0], fields={"text": "other", "stars": 0}), *rows[1:]]
    assert load(given(other)).digest != same
    assert load(given([replace(rows[0], fields={**rows[0].fields, "stars": 9}), *rows[1:]])).digest != same
    assert load(given(rows), seed=1).digest != same


def test_a_source_is_read_once_for_the_same_question(given):
    source = given(numbered())
    assert load(source) is load(source)
    assert source.times == 1
    load(source, on_error="skip")
    load(source, seed=1)
    assert source.times == 3
    source.key += "changed"
    load(source)
    assert source.times == 4


def test_the_cache_forgets_the_corpus_that_was_longest_unused(given, monkeypatch):
    monkeypatch.setattr(module, "CACHE_SIZE", 2)
    monkeypatch.setattr(module, "_cache", module.OrderedDict())
    first, second, third = (given(numbered()) for _ in range(3))
    for source in (first, second, first, third, first, second):
        load(source)
    assert [first.times, second.times, third.times] == [1, 2, 1]


def test_a_text_has_the_same_split_in_every_corpus(given):
    one, other = load(given(numbered())), load(given(numbered(200)[::-1]))
    where = dict(zip(other.texts, other.splits, strict=True))
    assert [where[text] for text in one.texts] == one.splits.tolist()
