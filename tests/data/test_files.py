"""Rows from files: every format, plain and compressed, and every way in which they are broken."""

import bz2
import gzip
import json
import lzma
import os
import zipfile

import pandas as pd
import pytest

from mtl.data.corpus import read
from mtl.data.sources import Files
from mtl.data.split import Split
from mtl.errors import MtlError

TABLE = [{"text": '好，"很好"\n真的', "label": "好"}, {"text": "bad, bad", "label": "坏"}, {"text": "x", "label": ""}]
SENTENCES = "-DOCSTART- O O\n\n# id = 1\n北 n B-LOC\n京 n I-LOC\n\n\n好 a O\n"


def write(folder, suffix):
    path = folder / f"rows{suffix}"
    frame = pd.DataFrame(TABLE)
    if suffix in (".csv", ".tsv"):
        frame.to_csv(path, index=False, sep=",\t"[suffix == ".tsv"])
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in TABLE), encoding="utf-8")
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        path.write_text(SENTENCES, encoding="utf-8")
    return path


def compress(path, how):
    data = path.read_bytes()
    packed = path.with_name(f"{path.name}.{how}")
    if how == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(f"inner/{path.name}", data)
    elif how != "plain":
        packed.write_bytes({"gz": gzip, "bz2": bz2, "xz": lzma}[how].compress(data))
    else:
        packed = path
    return packed


def fields(source):
    return [dict(row.fields) for row in source.rows()]


def problems(path, **options):
    return {row.line: row.problem for row in Files(str(path), **options).rows() if row.problem}


@pytest.mark.parametrize("how", ["plain", "gz", "bz2", "xz", "zip"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".conll"])
def test_every_format_gives_the_same_rows_however_compressed(tmp_path, suffix, how):
    path = compress(write(tmp_path, suffix), how)
    expected = [
        {"text": ["北", "京"], "1": ["n", "n"], "2": ["B-LOC", "I-LOC"], "label": ["B-LOC", "I-LOC"]},
        {"text": ["好"], "1": ["a"], "2": ["O"], "label": ["O"]},
    ]
    assert fields(Files(str(path))) == (expected if suffix == ".conll" else TABLE)
    assert fields(Files(path.name, folder=str(tmp_path))) == fields(Files(str(path)))


def test_line_numbers_are_those_where_records_begin(tmp_path):
    assert [row.line for row in Files(str(write(tmp_path, ".csv"))).rows()] == [2, 4, 5]
    assert [row.line for row in Files(str(write(tmp_path, ".conll"))).rows()] == [4, 8]
    (tmp_path / "b.csv").write_bytes(b'text,y\r\n\r\n"a\r\nb",1\r\n\r\nc,2\r\n')
    assert [(row.line, row.fields["text"]) for row in Files(str(tmp_path / "b.csv")).rows()] == [
        (3, "a\r\nb"),
        (6, "c"),
    ]


def test_reads_a_member_of_a_zip_with_several(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.csv", "text\na\n")
        archive.writestr("in/two.csv.gz", gzip.compress(b"text\nb\n"))
    assert fields(Files("a.zip/in/two.csv.gz", folder=str(tmp_path))) == [{"text": "b"}]
    with pytest.raises(MtlError, match=r"a\.zip should hold one file.* It holds one\.csv, in/two\.csv\.gz"):
        fields(Files("a.zip", folder=str(tmp_path)))
    with pytest.raises(MtlError, match=r"a\.zip has no member three\.csv. It holds one\.csv, in/two\.csv\.gz"):
        fields(Files("a.zip/three.csv", folder=str(tmp_path)))


def test_a_byte_order_mark_belongs_to_the_file_only_at_its_start(tmp_path):
    (tmp_path / "a.csv").write_text("\ufefftext,y\n\ufeffa,1\n", encoding="utf-8")
    assert fields(Files(str(tmp_path / "a.csv"))) == [{"text": "\ufeffa", "y": "1"}]


def test_a_file_for_each_split(tmp_path):
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.csv").write_text(f"text\n{name}\n")
    source = Files({"test": "test.csv", "train": "train.csv", "dev": "dev.csv"}, folder=str(tmp_path))
    assert [(row.split, row.file) for row in source.rows()] == [
        ("train", "train.csv"),
        ("val", "dev.csv"),
        ("test", "test.csv"),
    ]
    assert read(source, split=Split(), on_error="stop").splits.tolist() == [0, 1, 2]
    with pytest.raises(MtlError, match=r"path: a split should be train, val or test. Found 'trian'"):
        Files({"trian": "a.csv"})
    with pytest.raises(MtlError, match=r"path should name a split once. Found val, dev"):
        Files({"val": "a.csv", "dev": "b.csv"})


def test_texts_and_labels_from_parallel_files(tmp_path):
    (tmp_path / "texts.txt").write_text("a\r\n\nc d\u2028e", encoding="utf-8")
    (tmp_path / "labels.txt").write_text("1\n2\n3\n")
    source = Files("texts.txt", labels_path="labels.txt", folder=str(tmp_path))
    assert fields(source) == [
        {"text": "a", "label": "1"},
        {"text": "", "label": "2"},
        {"text": "c d\u2028e", "label": "3"},
    ]
    (tmp_path / "labels.txt").write_text("1\n2\n")
    with pytest.raises(MtlError, match=r"labels\.txt should have one line for each line of texts\.txt. Found 2 for 3"):
        fields(source)
    with pytest.raises(MtlError, match=r"labels_path should have the splits of path"):
        Files({"train": "texts.txt"}, labels_path="labels.txt")
    with pytest.raises(MtlError, match=r"labels_path is for format lines. Found format 'csv'"):
        Files("texts.txt", labels_path="labels.txt", format="csv")


def test_broken_csv_rows_are_problems_with_their_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'text,y\n"a\nb",1\nc\nd,1,2\n\xb8\xf6,1\n"e" f,1\ng,1\n"h,1\ni,1\n')
    found = problems(path)
    assert list(found) == [4, 5, 6, 7, 9]
    assert found[4] == "the header has 2 columns. Found 1 fields"
    assert found[5] == "the header has 2 columns. Found 3 fields"
    assert "0xb8 is not UTF-8" in found[6]
    assert "quote left open" in found[9]
    assert [row.fields["text"] for row in Files(str(path)).rows() if not row.problem] == ["a\nb", "g"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["no header"]),
        (b"txt,y\na,1\n", ["text should be one of its columns: txt or y", "Found 'text'"]),
        (b"text,y,y\na,1,1\n", ["line 1", "distinct", "text, y, y"]),
        (b"text,\xb8\na,1\n", ["line 1", "0xb8 is not UTF-8"]),
    ],
)
def test_a_csv_without_a_usable_header_is_an_error(tmp_path, content, words):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(MtlError) as error:
        fields(Files("a.csv", folder=str(tmp_path)))
    assert all(word in str(error.value) for word in ["a.csv", *words])


def test_broken_json_lines_are_problems_with_their_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n\n{"text": \n[1]\n{"text": "\xb8"}\n')
    found = problems(path)
    assert list(found) == [3, 4, 5]
    assert found[3].startswith("not JSON: ")
    assert found[4] == "should be a JSON object. Found [1]"
    assert "0xb8 is not UTF-8" in found[5]


def test_a_sentence_with_a_broken_line_is_one_problem_at_that_line(tmp_path):
    path = tmp_path / "a.conll"
    path.write_bytes(b"a\tO\nb\nc\tO\n\nd O\n\n# x\n#\tO\ne\tO\n\n\tO\n\nf O\n# O\n")
    assert problems(path) == {
        2: "the sentence's first line has 2 columns. Found 1",
        11: "the first column should hold a token. Found nothing",
    }
    assert [row.fields["text"] for row in Files(str(path)).rows() if not row.problem] == [["d"], ["#", "e"], ["f", "#"]]


def test_conll_with_tokens_alone_has_no_label(tmp_path):
    (tmp_path / "a.bio").write_text("a\nb\n")
    assert fields(Files(str(tmp_path / "a.bio"), text="words")) == [{"words": ["a", "b"]}]


def test_parquet_names_the_columns_there_are_and_what_cannot_be_read(tmp_path):
    path = write(tmp_path, ".parquet")
    with pytest.raises(
        MtlError, match=r"rows\.parquet: text should be one of its columns: text or label. Found 'review'"
    ):
        fields(Files(str(path), text="review"))
    path.write_bytes(b"no parquet")
    with pytest.raises(MtlError, match=r"rows\.parquet can't be read as parquet"):
        fields(Files(str(path)))


def test_an_unknown_suffix_or_format_lists_the_formats(tmp_path):
    (tmp_path / "a.txt").write_text("a\n")
    with pytest.raises(MtlError, match=r"a\.txt: the suffix should be \.csv.* csv, tsv, .* or lines. Found '\.txt'"):
        fields(Files(str(tmp_path / "a.txt")))
    assert fields(Files(str(tmp_path / "a.txt"), format="lines")) == [{"text": "a"}]
    with pytest.raises(MtlError, match=r"format should be csv, .* or lines. Found 'xls'"):
        Files("a.txt", format="xls")


def test_a_missing_file_is_named_with_its_neighbours(tmp_path):
    write(tmp_path, ".csv")
    with pytest.raises(MtlError, match=r"there is no file .*row\.csv; near it: rows\.csv"):
        fields(Files("row.csv", folder=str(tmp_path)))
    with pytest.raises(MtlError, match=r"is a folder, not a file. It holds rows\.csv"):
        fields(Files(str(tmp_path)))


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.bz2", ".csv.xz", ".zip"])
def test_a_damaged_archive_is_an_error_that_names_it(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"this is no archive")
    with pytest.raises(MtlError, match=rf"a{suffix} can't be read"):
        fields(Files(f"a{suffix}", folder=str(tmp_path)))


def test_an_unreadable_end_of_an_archive_is_an_error(tmp_path):
    path = compress(write(tmp_path, ".csv"), "gz")
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(MtlError, match=r"rows\.csv\.gz can't be read"):
        fields(Files(str(path)))


def test_the_key_follows_the_fields_and_the_file(tmp_path, monkeypatch):
    path = write(tmp_path, ".csv")
    key = Files(str(path)).key
    assert Files(str(path), text="label").key != key
    monkeypatch.chdir(tmp_path)
    assert Files("rows.csv").key == key
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    touched = Files(str(path)).key
    assert touched != key
    path.write_text("text\nother\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    assert Files(str(path)).key not in (key, touched)


def test_sources_of_equal_fields_are_equal_and_hash_alike():
    one, two = Files({"train": "a", "test": "b"}), Files({"test": "b", "train": "a"})
    assert one == two
    assert hash(one) == hash(two)
