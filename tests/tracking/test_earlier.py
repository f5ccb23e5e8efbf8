"""Finding a run of the same key again, and ending runs whose process is gone."""

import pytest

from mtl.tracking.earlier import at_work, earlier_run, end_abandoned, host
from mtl.tracking.store import open_store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def store(made, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return open_store(made, request.node.name)


def add(store, key, status=None, **tags):
    run = store.client.create_run(store.experiment_id, tags={"mtl.key": key, "mtl.role": "run", **tags})
    if status:
        store.client.set_terminated(run.info.run_id, status)
    return run.info.run_id


def test_the_newest_finished_run_of_a_key_else_the_newest_that_was_cut_off(store):
    ids = {f"k{i}": add(store, f"k{i}", "FINISHED", **{"mtl.folder": f"runs/{i}"}) for i in range(3)}
    add(store, "failed", "FAILED")
    cut = add(store, "cut", "KILLED")
    add(store, "k1", "KILLED")
    for key, run_id in ids.items():
        found = earlier_run(store, key)
        assert (found.run_id, found.finished, str(found.folder)) == (run_id, True, f"runs/{key[1:]}")
    assert earlier_run(store, "failed") is None
    assert (earlier_run(store, "cut").run_id, earlier_run(store, "cut").finished) == (cut, False)
    assert earlier_run(store, "new") is None
    meanwhile = add(store, "new", "FINISHED")  # by another process
    assert earlier_run(store, "new").run_id == meanwhile
    store.client.set_terminated(cut, "FINISHED")
    assert earlier_run(store, "cut").finished


def test_deleted_runs_and_other_experiments_are_not_found(store, made):
    run_id = add(store, "k", "FINISHED")
    other = open_store(made, "other")
    assert earlier_run(other, "k") is None
    store.client.delete_run(run_id)
    assert earlier_run(store, "k") is None


def test_only_runs_of_this_host_whose_process_is_gone_are_ended(store, tmp_path):
    def begun(name, **tags):
        folder = tmp_path / name
        with at_work(folder):
            pass
        return add(store, name, **{"mtl.folder": str(folder), **tags})

    gone, elsewhere = begun("gone", **{"mtl.host": host()}), begun("elsewhere", **{"mtl.host": "another"})
    old, busy = begun("old"), begun("busy", **{"mtl.host": host()})
    nowhere = add(store, "nowhere", **{"mtl.folder": str(tmp_path / "nowhere")})
    with at_work(tmp_path / "busy"):
        end_abandoned(store)
    status = {run_id: store.client.get_run(run_id).info.status for run_id in (gone, elsewhere, old, busy, nowhere)}
    assert list(status.values()) == ["KILLED", "RUNNING", "KILLED", "RUNNING", "RUNNING"]
