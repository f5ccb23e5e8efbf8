import math

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

from mtl.errors import MtlError
from mtl.tracking import history as module
from mtl.tracking.history import read_history


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two runs: one recorded two steps again after it was cut off, and saw nan and both infinities."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("chinese")
    ids = [client.create_run(experiment).info.run_id for _ in range(2)]
    first = [(0, 1.0, 10), (4, 0.5, 20), (8, 9.0, 30), (8, 0.25, 70), (4, 0.75, 60), (12, math.nan, 80)]
    first += [(16, math.inf, 90), (20, -math.inf, 100)]
    client.log_batch(ids[0], metrics=[Metric("train/语料/loss", value, time, step) for step, value, time in first])
    client.log_batch(ids[0], metrics=[Metric("train/语料/weight", 0.5, 10, 0), Metric("other", 3.0, 10, 0)])
    client.log_batch(ids[1], metrics=[Metric("train/语料/loss", 2.0, 10, 0)])
    return uri, ids


NAMES = ["train/语料/weight", "train/语料/loss", "not/recorded"]


def test_reads_each_step_once_as_it_was_recorded_last(store):
    uri, (one, two) = store
    frame = read_history(uri, [two, one], NAMES)
    assert list(frame.columns) == ["run_id", "metric", "step", "value"]
    assert frame[["run_id", "metric"]].drop_duplicates().values.tolist() == [
        [two, NAMES[1]],
        [one, NAMES[0]],
        [one, NAMES[1]],
    ]
    curve = frame[(frame["run_id"] == one) & (frame["metric"] == NAMES[1])]
    assert curve["step"].tolist() == [0, 4, 8, 12, 16, 20]
    assert curve["value"].tolist() == pytest.approx([1, 0.75, 0.25, math.nan, math.inf, -math.inf], nan_ok=True)


def test_the_file_and_the_client_give_the_same(store, monkeypatch):
    uri, ids = store
    direct = read_history(uri, ids, NAMES)
    monkeypatch.setattr(module, "_from_file", None)
    monkeypatch.setattr(module, "database", lambda _: None)
    pd.testing.assert_frame_equal(direct, read_history(uri, ids, NAMES))


def test_reads_more_names_than_a_statement_takes(store, monkeypatch):
    uri, ids = store
    whole = read_history(uri, ids, NAMES)
    monkeypatch.setattr(module, "BOUND", 1)
    pd.testing.assert_frame_equal(whole, read_history(uri, ids, NAMES))


def test_nothing_found_is_an_empty_frame_of_the_same_kind(store):
    frame = read_history(store[0], store[1], ["not/recorded"])
    assert frame.empty
    assert frame.dtypes.astype(str).to_dict() | {"run_id": "", "metric": ""} == {
        "run_id": "",
        "metric": "",
        "step": "int64",
        "value": "float64",
    }


def test_a_missing_store_is_one_line_and_is_not_made(tmp_path):
    with pytest.raises(MtlError, match="cannot be read"):
        read_history(f"sqlite:///{tmp_path}/no.db", ["a"], ["b"])
    assert not list(tmp_path.iterdir())
