"""`mtl sync` after runs whose store was away, with the whole of `mtl train`."""

import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mtl.tracking import recorder as module
from mtl.tracking.runs import read_runs

TASKS = "task=[./reviews.yaml,names.yaml]"
WRITES = ("log_batch", "create_run", "set_terminated", "log_text", "log_artifact", "update_run", "log_inputs")


@pytest.fixture
def break_store(monkeypatch):
    """Let every write from some step of the training on fail, as if the store were down."""

    def broken(*_, **__):
        raise MlflowException("connection refused")

    def switch(after=0):
        calls = [0]
        write = MlflowClient.log_batch

        def first(self, *words, **others):
            calls[0] += 1
            if calls[0] > after:
                for name in WRITES:
                    monkeypatch.setattr(MlflowClient, name, broken)
                raise MlflowException("connection refused")
            return write(self, *words, **others)

        monkeypatch.setattr(MlflowClient, "log_batch", first)

    original = {name: getattr(MlflowClient, name) for name in WRITES}

    def mend():
        for name, write in original.items():
            monkeypatch.setattr(MlflowClient, name, write)

    monkeypatch.setattr(module, "GATHERED_SECONDS", 0.1)
    return switch, mend


def test_a_run_whose_store_goes_down_ends_well_and_is_delivered_by_sync(mtl, folder, break_store):
    switch, mend = break_store
    switch(after=1)
    done = mtl("train", TASKS, "tracking.patience=0.3")
    assert done.code == 0
    assert "points of none x equal, seed 0 wait in" in done.err
    assert "`mtl sync` delivers them" in done.err
    mend()
    synced = mtl("sync")
    assert synced.code == 0
    assert "points delivered, run " in synced.out
    (run,) = read_runs(f"sqlite:///{folder / 'mlflow.db'}", "mtl").to_dict("records")
    assert run["status"] == "FINISHED"
    assert run["metrics.test/reviews/accuracy"] >= 0
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    assert {"model", "config.yaml"} <= {file.path for file in client.list_artifacts(run["run_id"])}
    assert mtl("sync").out == "nothing waits: all runs are delivered\n"
    assert not list(folder.rglob("spool*"))
    with sqlite3.connect(folder / "mlflow.db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM metrics WHERE key = 'train/reviews/loss'").fetchone()
    assert count == 3


def test_a_run_that_waits_is_known_to_the_next_and_not_trained_again(mtl, folder, break_store):
    switch, mend = break_store
    switch()
    assert mtl("train", TASKS, "tracking.patience=0.3").code == 0
    again = mtl("train", TASKS, "tracking.patience=0.3")
    assert "in the record already" in again.out
    mend()
    assert "in the record already as run" in mtl("train", TASKS).out
    assert not Path(".mtl-spools").exists()
    assert len(read_runs(f"sqlite:///{folder / 'mlflow.db'}", "mtl")) == 1


def test_a_parent_that_is_deleted_while_its_sweep_runs_does_not_stop_the_jobs(mtl, folder, monkeypatch):
    from mtl.cli import once

    describe = once._describe

    def deleting(recorder, *others):
        parent = recorder._tags["mlflow.parentRunId"]
        client = recorder.store.client
        if client.get_run(parent).info.lifecycle_stage == "active":
            client.delete_run(parent)
        describe(recorder, *others)

    monkeypatch.setattr(once, "_describe", deleting)
    done = mtl("train", "-m", TASKS, "seed=0,1", "tracking.patience=1")
    assert done.code == 0
    assert "2 jobs: 2 done" in done.out
    assert set(read_runs(f"sqlite:///{folder / 'mlflow.db'}", "mtl")["status"]) == {"FINISHED"}


def test_a_folder_that_is_not_there_is_one_line(mtl):
    done = mtl("sync", "nowhere")
    assert done.code == 2
    assert done.err == "mtl: folder: there is no folder nowhere\n"
