"""A store that is locked, away or deletes the run; a process that is killed; each point arrives once."""

import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from mtl.errors import MtlError
from mtl.tracking import pending
from mtl.tracking import recorder as module
from mtl.tracking.exact import exact
from mtl.tracking.pending import sync, sync_before
from mtl.tracking.recorder import Recorder
from mtl.tracking.spool import NAME, POSITION, REFUSED, Spool, points, read
from mtl.tracking.store import Store, open_or_spool, open_store
from tests.tracking.servers import count


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return open_store(f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db", "recorder")


@pytest.fixture
def store(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "GATHERED_SECONDS", 0.05)
    return made


@pytest.fixture
def away(store, monkeypatch):
    """A switch: while it holds True, every write fails as that of a server that is down."""
    switch = [False]
    for name in ("log_batch", "create_run", "set_terminated", "log_text", "update_run"):
        write = getattr(store.client, name)

        def tried(*words, write=write, **others):
            if switch[0]:
                raise MlflowException("connection refused")
            return write(*words, **others)

        monkeypatch.setattr(store.client, name, tried)
    return switch


def rows(store, run_id):
    path = store.uri.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        query = "SELECT key, step, value FROM metrics WHERE run_uuid = ? ORDER BY key, step, value"
        return connection.execute(query, (run_id,)).fetchall()


def test_a_store_that_comes_back_gets_what_it_missed(store, away, tmp_path, capsys):
    with Recorder(store, "back", {}, folder=tmp_path / "run", patience=20) as recorder:
        recorder.metrics({"a": 1.0}, 0)
        recorder.wait(5)
        away[0] = True
        recorder.metrics({"a": 2.0}, 1)
        time.sleep(0.3)
        away[0] = False
    assert rows(store, recorder.run_id) == [("a", 0, 1.0), ("a", 1, 2.0)]
    assert not (tmp_path / "run" / NAME).exists()
    assert not Path(pending.INDEX).exists()


def test_what_a_store_never_took_waits_and_is_delivered_once(store, away, tmp_path, capsys):
    away[0] = True
    with Recorder(store, "later", {"mtl.x": "y"}, folder=tmp_path / "run", patience=0.2) as recorder:
        recorder.metrics({"a": 1.0, "b": math.inf}, 0)
        recorder.text("kept", "note.txt")
    said = capsys.readouterr().err
    assert "2 points of later wait" in said
    assert "mtl sync" in said
    assert list(pending.pending()) == [tmp_path / "run"]
    away[0] = False
    recorder._thread.join(10)
    done = sync(tmp_path / "run")
    assert (done.points, done.waits, done.refused) == (2, "", ())
    run = store.client.get_run(done.run_id)
    assert (run.info.status, run.data.tags["mtl.x"]) == ("FINISHED", "y")
    assert {name: exact(value) for name, value in run.data.metrics.items()} == {"a": 1.0, "b": math.inf}
    assert not list(pending.pending())


def test_the_next_run_delivers_what_an_earlier_one_left(store, away, tmp_path):
    away[0] = True
    with Recorder(store, "left", {"mtl.key": "left"}, folder=tmp_path / "run", patience=0.2) as recorder:
        recorder.metrics({"a": 1.0}, 0)
    away[0] = False
    recorder._thread.join(10)
    sync_before(store)
    assert not list(pending.pending())
    (run,) = store.client.search_runs([store.experiment_id], "tags.`mtl.key` = 'left'")
    assert rows(store, run.info.run_id) == [("a", 0, 1.0)]


def test_delivered_again_from_the_beginning_nothing_counts_twice(store, away, tmp_path):
    folder = tmp_path / "run"
    away[0] = True
    with Recorder(store, "twice", {"mtl.key": "twice"}, folder=folder, patience=0.2) as recorder:
        for step in range(1500):
            recorder.metrics({"a": step / 7}, step)
        recorder.metrics({"n": math.nan, "i": -math.inf}, 3)
        recorder.dataset("d", "digest", "train", "10 rows")
    away[0] = False
    recorder._thread.join(10)
    whole = (folder / NAME).read_bytes()
    first = sync(folder)
    for state in ('{"making": true}', '{"making": true, "offset": 0}'):  # killed before any position was noted
        (folder / NAME).write_bytes(whole)
        (folder / POSITION).write_text(state)
        again = sync(folder)
        assert (again.run_id, again.waits, again.refused) == (first.run_id, "", ())
    found = rows(store, first.run_id)
    assert found[:1500] == [("a", step, step / 7) for step in range(1500)]
    assert len(found) == 1502
    assert len(store.client.search_runs([store.experiment_id], "tags.`mtl.key` = 'twice'")) == 1
    assert len(store.client.get_run(first.run_id).inputs.dataset_inputs) == 1


def test_training_does_not_wait_for_a_database_that_another_process_locks(store, tmp_path, capsys):
    path = store.uri.removeprefix("sqlite:///")
    with Recorder(store, "locked", {}, folder=tmp_path / "run", patience=40) as recorder:
        recorder.metrics({"a": 0.0}, 0)
        recorder.wait(5)
        lock = sqlite3.connect(path, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        began = time.perf_counter()
        for step in range(1, 200):
            recorder.metrics({"a": float(step)}, step)
        assert time.perf_counter() - began < 0.5
        time.sleep(0.5)
        assert len(rows(store, recorder.run_id)) == 1
        lock.execute("ROLLBACK")
        lock.close()
    assert rows(store, recorder.run_id) == [("a", step, float(step)) for step in range(200)]


def test_the_end_of_a_run_waits_no_longer_than_its_patience(store, tmp_path, capsys):
    lock = sqlite3.connect(store.uri.removeprefix("sqlite:///"), isolation_level=None)
    with Recorder(store, "patience", {}, folder=tmp_path / "run", patience=1) as recorder:
        lock.execute("BEGIN IMMEDIATE")
        recorder.metrics({"a": 1.0}, 0)
        began = time.perf_counter()
    assert time.perf_counter() - began < 3
    assert "1 points of patience wait" in capsys.readouterr().err
    lock.execute("ROLLBACK")
    recorder._thread.join(30)
    assert sync(tmp_path / "run").waits == "" or not (tmp_path / "run" / NAME).exists()
    assert rows(store, recorder.run_id) == [("a", 0, 1.0)]


KILLED = """
import sys, time
from pathlib import Path
from mtl.tracking.recorder import Recorder
from mtl.tracking.store import open_store
store = open_store(sys.argv[1], "recorder")
with Recorder(store, "killed", {}, folder=Path(sys.argv[2]), goes_on=sys.argv[3]) as recorder:
    for step in range(100000):
        recorder.metrics({"a": step / 3}, step)
        if step % 100 == 0:
            print(step, recorder.run_id, flush=True)
"""


def test_all_that_a_killed_process_wrote_arrives(store, tmp_path):
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, store.uri, str(folder), ""], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    said = [process.stdout.readline() for _ in range(20)]
    time.sleep(random.Random(os.getpid()).random())
    process.send_signal(signal.SIGKILL)
    rest = process.communicate()[0].splitlines()
    last = int((rest or said)[-1].split()[0])
    with (folder / NAME).open("ab") as file:
        file.write(b'["metrics",1700000000000,999999,{"torn":1')
    written = [item for item, _ in read(folder / NAME) if item[0] == "metrics"]
    assert len(written) > last
    done = sync(folder, store.uri)
    assert done.waits == ""
    assert rows(store, done.run_id) == [("a", step, step / 3) for step in range(len(written))]
    assert store.client.get_run(done.run_id).info.status == "KILLED"


@pytest.mark.parametrize("synced", [True, False])
def test_what_a_killed_process_wrote_is_not_written_again(store, tmp_path, synced):
    folder, run = tmp_path / "run", {"uri": store.uri, "experiment": store.experiment, "name": "on", "tags": {}}
    spool = Spool(folder, run | {"start": 1})
    for step in range(4):
        spool.append(["metrics", 1700000000000, step, {"a": step / 3, "b": float("nan")}])
    spool.close()  # nothing says that it ended
    found = sync(folder, store.uri).run_id if synced else ""
    with Recorder(store, "on", {}, folder=folder, goes_on=found) as recorder:
        recorder.metrics({"a": 2 / 3, "b": float("nan")}, 2)
        recorder.metrics({"a": 7.0, "b": float("nan")}, 3)  # another value: the last one counts
        recorder.metrics({"a": 1.0, "b": 5.0}, 3)
    found = sorted((point.step, point.value) for point in store.client.get_metric_history(recorder.run_id, "a"))
    assert found == [(0, 0), (1, 1 / 3), (2, 2 / 3), (3, 1.0), (3, 1.0), (3, 7.0)]
    assert [point.step for point in store.client.get_metric_history(recorder.run_id, "b")] == [0, 1, 2, 3, 3]
    assert not list(folder.glob("spool*"))


def test_a_run_that_goes_on_writes_into_its_own_run(store, tmp_path):
    recorder = Recorder(store, "on", {}, folder=tmp_path / "run")

    def interrupted():
        with recorder:
            recorder.metrics({"a": 1.0}, 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.client.get_run(recorder.run_id).info.status == "KILLED"
    with Recorder(store, "on", {}, folder=tmp_path / "run", goes_on=recorder.run_id) as second:
        assert second.run_id == recorder.run_id
        second.metrics({"a": 2.0}, 1)
    assert rows(store, recorder.run_id) == [("a", 0, 1.0), ("a", 1, 2.0)]
    assert store.client.get_run(recorder.run_id).info.status == "FINISHED"


def test_a_run_that_is_deleted_meanwhile_keeps_its_points(store, tmp_path, capsys):
    with Recorder(store, "deleted", {}, folder=tmp_path / "run", patience=0.5) as recorder:
        recorder.wait(5)
        store.client.delete_run(recorder.run_id)
        recorder.metrics({"a": 1.0}, 0)
    assert "is deleted in" in capsys.readouterr().err
    assert points(tmp_path / "run") == 1
    store.client.restore_run(recorder.run_id)
    recorder._thread.join(10)
    assert sync(tmp_path / "run").points == 1
    assert not (tmp_path / "run" / REFUSED).exists()


def test_a_spool_has_one_holder(tmp_path):
    first = Spool(tmp_path, {"name": "a"})
    with pytest.raises(BlockingIOError):
        Spool(tmp_path)
    assert "at work" in sync(tmp_path).waits
    first.close()
    Spool(tmp_path).close()


def test_a_line_that_was_torn_is_cut_and_what_follows_is_whole(tmp_path):
    spool = Spool(tmp_path, {"name": "a"})
    spool.append(["tags", {"a": "é"}])
    spool.close()
    with spool.path.open("ab") as file:
        file.write(b'["tags",{"b"')
    spool = Spool(tmp_path, {"name": "ignored"})
    spool.append(["metrics", 1, 2, {"a": math.inf, "b": -math.inf, "c": 0.1}])
    spool.close()
    items = [item for item, _ in read(spool.path)]
    assert items[0][1]["name"] == "a"
    assert items[1:] == [["tags", {"a": "é"}], ["metrics", 1, 2, {"a": math.inf, "b": -math.inf, "c": 0.1}]]


def test_infinities_and_nan_are_given_back():
    biggest = 1.7976931348623157e308
    assert [exact(value) for value in (biggest, -biggest, 1.5, 0.0)] == [math.inf, -math.inf, 1.5, 0.0]
    assert math.isnan(exact(math.nan))


def test_a_store_that_was_reached_before_may_be_away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uri = "http://127.0.0.1:9"
    with pytest.raises(MtlError, match="does not answer"):
        open_or_spool(uri, "e", known=False)
    store = open_or_spool(uri, "e", known=True)
    assert store.away
    with Recorder(store, "offline", {}, folder=tmp_path / "run", patience=0.2) as recorder:
        recorder.metrics({"a": 1.0}, 0)
    assert recorder.run_id == ""
    recorder._thread.join(15)
    there = f"sqlite:///{tmp_path / 'mlflow.db'}"
    done = sync(tmp_path / "run", there)
    assert done.points == 1
    assert count(there) == [("a", 0, 1.0)]


def test_a_store_of_another_schema_is_one_line(tmp_path, made):
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(made.uri.removeprefix("sqlite:///")) as source, sqlite3.connect(path) as target:
        source.backup(target)
        target.execute("UPDATE alembic_version SET version_num = '0c779009ac13'")
    target.close()
    with pytest.raises(MtlError, match=r"has schema 0c779009ac13, this MLflow needs \w+: .*mlflow db upgrade") as error:
        open_store(f"sqlite:///{path}", "e")
    assert "\n" not in str(error.value)
    assert isinstance(made, Store)
