"""The shopping reviews: where they are looked for, and what they hold."""

import os
import zipfile
from pathlib import Path

import pandas as pd
import pooch
import pytest

from mtl.data.corpus import read
from mtl.data.sources import OnlineShopping, shopping
from mtl.data.split import Split
from mtl.errors import MtlError

CONTENT = "cat,label,review\n书籍,1,\ufeff好\n酒店,0,差\n"
needs_data = pytest.mark.skipif(
    not (Path(os.environ.get("MTL_DATA", "")) / f"{shopping.NAME}.zip").is_file(),
    reason="MTL_DATA names no folder with online_shopping_10_cats.zip",
)


@pytest.mark.parametrize("suffix", ["csv", "zip"])
@pytest.mark.parametrize("by", ["root", "MTL_DATA"])
def test_is_found_by_root_or_environment(tmp_path, monkeypatch, suffix, by):
    monkeypatch.delenv("MTL_DATA", raising=False)
    path = tmp_path / f"online_shopping_10_cats.{suffix}"
    if suffix == "csv":
        path.write_text(CONTENT, encoding="utf-8")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("online_shopping_10_cats.csv", CONTENT)
    if by == "MTL_DATA":
        monkeypatch.setenv("MTL_DATA", str(tmp_path))
    source = OnlineShopping(str(tmp_path) if by == "root" else None)
    assert [dict(row.fields) for row in source.rows()] == [
        {"cat": "书籍", "label": "1", "review": "\ufeff好"},
        {"cat": "酒店", "label": "0", "review": "差"},
    ]
    assert str(path) in source.key


def fail(error):
    def retrieve(*args, **options):
        raise error

    return retrieve


@pytest.mark.parametrize("error", [ConnectionError("no\nnetwork"), ValueError("SHA256 hash doesn't match")])
def test_a_failed_fetch_says_how_to_place_the_file(monkeypatch, tmp_path, error):
    monkeypatch.delenv("MTL_DATA", raising=False)
    monkeypatch.setattr(pooch, "retrieve", fail(error))
    with pytest.raises(MtlError) as failed:
        list(OnlineShopping(str(tmp_path)).rows())
    message = str(failed.value)
    assert "\n" not in message
    for word in ("online_shopping_10_cats.zip", shopping.URL, "root=", "MTL_DATA", type(error).__name__):
        assert word in message


def test_fetches_the_checked_file(monkeypatch):
    asked = []
    monkeypatch.setattr(pooch, "retrieve", lambda *args, **options: asked.extend(args) or "fetched.zip")
    assert shopping.fetch() == "fetched.zip"
    assert asked[:3] == [shopping.URL, f"sha256:{shopping.SHA256}", "online_shopping_10_cats.zip"]


@needs_data
def test_the_checksum_is_that_of_the_file():
    path = Path(os.environ["MTL_DATA"]) / "online_shopping_10_cats.zip"
    assert pooch.file_hash(str(path), alg="sha256") == shopping.SHA256


@needs_data
def test_agrees_with_pandas_on_every_row():
    path = Path(os.environ["MTL_DATA"]) / "online_shopping_10_cats.zip"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert len(frame) == 62_774
    assert [dict(row.fields) for row in OnlineShopping().rows()] == frame.to_dict("records")


@needs_data
def test_leaves_out_the_empty_review_alone():
    with pytest.raises(MtlError, match=r"line \d+: field 'review' is empty"):
        read(OnlineShopping(), split=Split(), on_error="stop")
    corpus = read(OnlineShopping(), split=Split(), on_error="skip")
    assert (len(corpus), len(corpus.skipped), len(set(corpus.texts))) == (62_773, 1, 62_724)
    assert corpus.duplicates == 62_773 - 62_724
    assert corpus.straddling == []
