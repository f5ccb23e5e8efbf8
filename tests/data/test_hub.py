"""Datasets of the Hub, by a local folder."""

import sys

import pytest

from mtl.data.sources import HubDataset
from mtl.errors import MtlError


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="the extra mtl[hub] is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return datasets


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "reviews"
    folder.mkdir()
    for name in ("train", "validation", "test"):
        (folder / f"{name}.csv").write_text(f"text,y\n{name} 1,a\n{name} 2,b\n")
    return folder


def test_the_splits_of_a_dataset_are_ours(datasets, folder):
    rows = list(HubDataset(str(folder)).rows())
    assert [(row.split, row.line, row.fields["text"]) for row in rows] == [
        (ours, line, f"{theirs} {line}")
        for theirs, ours in (("train", "train"), ("validation", "val"), ("test", "test"))
        for line in (1, 2)
    ]
    assert rows[0].file == f"{folder}/train"


def test_a_single_split_is_left_to_the_task(datasets, folder):
    for name in ("validation", "test"):
        (folder / f"{name}.csv").unlink()
    assert [row.split for row in HubDataset(str(folder)).rows()] == [None, None]


def test_class_labels_are_given_by_name(datasets, tmp_path):
    names = datasets.ClassLabel(names=["O", "B-X"])
    features = datasets.Features(
        {"text": datasets.List(datasets.Value("string")), "tags": datasets.List(names), "y": names}
    )
    data = datasets.Dataset.from_dict({"text": [["a", "b"], ["c"]], "tags": [[0, 1], [1]], "y": [1, -1]}, features)
    (tmp_path / "tagged").mkdir()
    data.to_parquet(tmp_path / "tagged/train.parquet")
    assert [dict(row.fields) for row in HubDataset(str(tmp_path / "tagged")).rows()] == [
        {"text": ["a", "b"], "tags": ["O", "B-X"], "y": "B-X"},
        {"text": ["c"], "tags": ["B-X"], "y": None},
    ]


def test_names_the_columns_there_are(datasets, folder):
    with pytest.raises(MtlError, match=r"reviews/train: text should be one of its columns: text or y. Found 'review'"):
        list(HubDataset(str(folder), text="review").rows())


def test_a_dataset_that_cannot_be_loaded_is_one_line(datasets, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MtlError, match=r"dataset .*empty can't be loaded: ") as error:
        list(HubDataset(str(tmp_path / "empty")).rows())
    assert "\n" not in str(error.value)


def test_the_key_follows_the_folder(folder):
    key = HubDataset(str(folder)).key
    assert HubDataset(str(folder), text="y").key != key
    (folder / "train.csv").write_text("text,y\nlonger than before,a\n")
    assert HubDataset(str(folder)).key != key


def test_says_how_to_install_datasets(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MtlError, match=r"pip install 'mtl\[hub\]'"):
        list(HubDataset("imdb").rows())
