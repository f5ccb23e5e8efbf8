import time

import pytest

from mtl.errors import MtlError
from mtl.tracking.recorder import GATHERED_SECONDS, METRICS_A_CALL, Recorder
from mtl.tracking.spool import NAME, read
from mtl.tracking.store import open_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db", "gathering")


@pytest.fixture
def calls(store, monkeypatch):
    """Points in each call of the store."""
    found = []
    write = store.client.log_batch

    def log_batch(run_id, metrics=(), **others):
        found.append(len(metrics))
        write(run_id, metrics=metrics, **others)

    monkeypatch.setattr(store.client, "log_batch", log_batch)
    return found


def history(store, run_id, name):
    return [(point.step, point.value) for point in store.client.get_metric_history(run_id, name)]


def test_every_point_of_every_step_arrives_in_few_calls(store, calls):
    with Recorder(store, "many", {}) as recorder:
        for step in range(600):
            recorder.metrics({"a": step / 2, "b": 1.0}, step)
    assert history(store, recorder.run_id, "a") == [(step, step / 2) for step in range(600)]
    assert store.client.get_run(recorder.run_id).data.metrics == {"a": 299.5, "b": 1.0}
    assert sum(calls) == 1200
    assert len(calls) < 10
    assert max(calls) <= METRICS_A_CALL


def test_points_reach_the_store_while_training_goes_on(store):
    with Recorder(store, "live", {}) as recorder:
        recorder.metrics({"a": 1.0}, 0)
        deadline = time.monotonic() + GATHERED_SECONDS + 10
        while not (found := history(store, recorder.run_id, "a")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert found == [(0, 1.0)]


def test_what_comes_after_points_is_written_after_them(store):
    with Recorder(store, "order", {}) as recorder:
        recorder.metrics({"a": 1.0}, 0)
        recorder.tags({"after": "points"})
        recorder.text("x", "a.txt")
        order = [item[0] for item, _ in read(recorder.folder / NAME)]
    assert order == ["run", "metrics", "tags", "text"]
    run = store.client.get_run(recorder.run_id)
    assert (run.data.tags["after"], run.data.metrics, run.info.status) == ("points", {"a": 1.0}, "FINISHED")


def test_a_point_that_the_store_refuses_takes_no_other_with_it(store):
    recorder = Recorder(store, "refused", {})

    def record():
        with recorder:
            recorder.metrics({"a": 1.0}, 0)
            recorder.metrics({"not a name!?\n": 1.0}, 1)
            recorder.metrics({"a": 2.0}, 2)

    with pytest.raises(MtlError, match="1 writes"):
        record()
    assert history(store, recorder.run_id, "a") == [(0, 1.0), (2, 2.0)]
