import sqlite3
import subprocess
import sys
import time

import pytest
from mlflow import MlflowClient

from mtl.tracking.store import open_store, tracking_uri


def test_a_process_that_is_killed_while_it_makes_a_store_leaves_no_broken_one(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    code = f"from mtl.tracking.store import open_store; open_store({uri!r}, 'a')"
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not (tmp_path / ".mlflow.db.making").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.kill()
    process.wait()
    store = open_store(uri, "a")
    run = store.client.create_run(store.experiment_id)
    assert MlflowClient(uri).get_run(run.info.run_id).info.experiment_id == store.experiment_id


def test_two_processes_that_begin_on_no_store_at_all_both_find_one(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    code = (
        f"from mtl.tracking.store import open_store; s = open_store({uri!r}, 'a'); s.client.create_run(s.experiment_id)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    store = open_store(uri, "a")
    assert len(store.client.search_runs([store.experiment_id])) == 3


@pytest.mark.parametrize("given", [None, "sqlite:///mlflow.db"])
def test_a_relative_store_is_that_of_the_folder_one_stands_in(given, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        open_store(tracking_uri(given), name)
    for name in ("first", "second"):
        with sqlite3.connect(tmp_path / name / "mlflow.db") as made:
            assert made.execute("SELECT name FROM experiments WHERE experiment_id > 0").fetchall() == [(name,)]
