import argparse
import contextlib
import math
import shutil
import sqlite3

import pytest

from mtl.cli import table as command
from mtl.errors import MtlError
from mtl.tracking import by_client as module
from mtl.tracking import runs as reading
from mtl.tracking.by_client import ByClient
from mtl.tracking.by_sql import by_sql
from mtl.tracking.runs import read_runs


def add(client, experiment, **tags):
    """One finished run."""
    run_id = client.create_run(experiment, tags=tags).info.run_id
    client.log_param(run_id, "optimizer.lr", 0.1)
    for step, value in enumerate((0.25, 0.5)):
        client.log_metric(run_id, "test/news/accuracy", value, step=step)
    client.set_terminated(run_id)
    return run_id


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one experiment: two sweeps (of two runs and one), a run on its own, somebody else's run."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("chinese")
    client.create_experiment("empty")
    client.delete_experiment(client.create_experiment("thrown away"))
    run = {"mtl.role": "run", "mtl.tasks": "news", "mtl.seed": "0", "mtl.prompt": "none", "mtl.switching": "joint"}
    run |= {"mtl.primary.news": "accuracy", "mtl.direction.news": "max", "mtl.weighting": "fixed"}
    ids = {}
    for number, children in enumerate((2, 1)):
        ids[f"sweep{number}"] = parent = add(client, experiment, **{"mtl.role": "sweep"})
        for child in range(children):
            ids[f"{number}.{child}"] = add(client, experiment, **run, **{"mlflow.parentRunId": parent})
    ids["alone"] = add(client, experiment, **{**run, "mtl.switching": "single"})
    ids["other"] = add(client, experiment)
    ids["deleted"] = add(client, experiment, **run)
    client.delete_run(ids["deleted"])
    ids["deleted sweep"] = add(client, experiment, **{"mtl.role": "sweep"})
    client.delete_run(ids["deleted sweep"])
    return uri, ids


@pytest.fixture(params=["by SQL", "by the client"])
def way(request, monkeypatch):
    """Each way of reading must pass the same tests."""
    if request.param == "by the client":
        monkeypatch.setattr(reading, "by_sql", lambda uri: None)


@pytest.mark.usefixtures("way")
def test_reads_every_training_run_over_many_pages(store, monkeypatch):
    uri, ids = store
    monkeypatch.setattr(module, "PAGE", 2)
    frame = read_runs(uri, "chinese")
    assert sorted(frame["run_id"]) == sorted(ids[name] for name in ("0.0", "0.1", "1.0", "alone"))


@pytest.mark.usefixtures("way")
def test_has_the_columns_of_mlflow(store):
    from mlflow import search_runs, set_tracking_uri

    uri, _ = store
    frame = read_runs(uri, "chinese")
    assert set(frame["status"]) == {"FINISHED"}
    assert set(frame["metrics.test/news/accuracy"]) == {0.5}
    assert set(frame["params.optimizer.lr"]) == {"0.1"}
    set_tracking_uri(uri)
    try:
        theirs = search_runs(experiment_names=["chinese"]).set_index("run_id").loc[frame["run_id"]]
    finally:
        set_tracking_uri("")
    same = [name for name in frame.columns if name in theirs.columns]
    assert {"status", "start_time", "end_time", "tags.mtl.prompt", "tags.mtl.seed"} <= set(same)
    for name in same:
        assert frame[name].fillna("").astype(str).tolist() == theirs[name].fillna("").astype(str).tolist()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("sweep", "children"), [("last", ["1.0"]), ("sweep1", ["1.0"]), ("sweep0", ["0.0", "0.1"])])
def test_reads_one_sweep(store, sweep, children):
    uri, ids = store
    sweep = ids.get(sweep, sweep)
    for name in {sweep, sweep[:12]}:
        assert set(read_runs(uri, "chinese", sweep=name)["run_id"]) == {ids[child] for child in children}


@pytest.mark.usefixtures("way")
def test_an_experiment_without_runs_is_an_empty_frame(store):
    frame = read_runs(store[0], "empty")
    assert list(frame.columns) == ["run_id", "status", "start_time", "end_time"]
    assert frame.empty


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("experiment", "sweep", "message"),
    [
        ("chines", None, r"no experiment 'chines' in sqlite:.*Did you mean chinese\?"),
        ("zzz", None, "There is: Default, chinese, empty"),
        ("chinese", "zzz", "no 'zzz' in experiment chinese. Its sweeps, newest first: "),
        ("chinese", "", "begins the run ids of 2 sweeps"),
        ("empty", "last", "newest first: none"),
        ("thrown away", None, "experiment 'thrown away' was deleted"),
    ],
)
def test_an_unknown_name_is_answered_with_what_there_is(store, experiment, sweep, message):
    with pytest.raises(MtlError, match=message):
        read_runs(store[0], experiment, sweep=sweep)


@pytest.mark.usefixtures("way")
def test_a_deleted_sweep_is_said_to_be_deleted(store):
    uri, ids = store
    deleted = ids["deleted sweep"]
    with pytest.raises(MtlError, match=f"sweep: {deleted} was deleted; `mlflow runs restore"):
        read_runs(uri, "chinese", sweep=deleted[:10])


@pytest.fixture(scope="module")
def zoo(store):
    """Runs with every value that is awkward to store."""
    from mlflow import MlflowClient

    uri, _ = store
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("zoo")
    ids = []
    for metrics in (
        {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "zero": -0.0, "tiny": 5e-324},
        {"test/情感/accuracy": 0.1 + 0.2, "inf": 1.0},
        {},
    ):
        run = client.create_run(
            experiment, tags={"mtl.role": "run", "空": "值 'x\"; --", "empty": ""}, start_time=10**12
        )
        ids.append(run.info.run_id)
        client.log_param(ids[-1], "empty", "")
        client.log_param(ids[-1], f"only.{len(ids)}", "None")
        for name, value in metrics.items():
            client.log_metric(ids[-1], name, value)
    for step, value in ((0, 1.0), (7, 2.0), (3, 3.0), (7, 2.5), (5, math.nan)):
        client.log_metric(ids[0], "steps", value, step=step, timestamp=1000 + step)
    client.update_run(ids[1], "RUNNING")
    client.log_metric(ids[1], "inf", math.nan, step=9)
    client.set_terminated(ids[1], "KILLED")
    client.set_tag(ids[2], "empty", "no longer")
    assert client.get_run(ids[0]).info.end_time is None
    return uri, ids


def test_both_ways_give_the_very_same_frame(zoo, store):
    from pandas.testing import assert_frame_equal

    uri, ids = zoo
    direct, client = by_sql(uri), ByClient(uri)
    assert direct.experiments() == client.experiments()
    assert direct.experiments(deleted=True) == client.experiments(deleted=True)
    for name, number in client.experiments().items():
        assert direct.sweeps(number) == client.sweeps(number), name
        assert direct.sweeps(number, deleted=True) == client.sweeps(number, deleted=True), name
        for parent in (None, *client.sweeps(number)):
            assert_frame_equal(direct.runs(number, parent), client.runs(number, parent), check_exact=True)
    assert sorted(read_runs(uri, "zoo")["run_id"]) == sorted(ids)


@pytest.mark.usefixtures("way")
def test_values_come_back_as_they_were_logged(zoo):
    uri, ids = zoo
    frame = read_runs(uri, "zoo").set_index("run_id")
    first = frame.loc[ids[0]]
    assert [first["metrics.inf"], first["metrics.-inf"], first["metrics.tiny"]] == [math.inf, -math.inf, 5e-324]
    assert math.isnan(first["metrics.nan"])
    assert first["metrics.steps"] == 2.5  # the largest step; of two points at it the larger value
    assert frame.loc[ids[1], "metrics.test/情感/accuracy"] == 0.1 + 0.2
    assert math.isnan(frame.loc[ids[1], "metrics.inf"])
    assert frame.loc[ids[1], "status"] == "KILLED"
    assert frame.loc[ids, "end_time"].isna().tolist() == [True, False, True]
    assert frame["tags.空"].tolist() == ["值 'x\"; --"] * 3
    assert frame.loc[ids, "tags.empty"].tolist() == ["", "", "no longer"]
    assert frame["params.empty"].tolist() == [""] * 3
    assert frame.loc[ids, "params.only.2"].isna().tolist() == [True, False, True]


def test_a_store_of_another_schema_is_left_to_mlflow_which_says_so(store, tmp_path):
    uri, _ = store
    path = tmp_path / "other #1?.db"
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(uri.removeprefix("sqlite:///"), path)
    assert by_sql(f"sqlite:///{path}") is not None
    path = path.rename(tmp_path / "other.db")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'cafe'")
    assert by_sql(f"sqlite:///{path}") is None
    with pytest.raises(MtlError, match=r"cannot be read: .*found version cafe.* 'mlflow db upgrade"):
        read_runs(f"sqlite:///{path}", "chinese")


def test_what_is_no_store_is_refused_in_one_line(tmp_path):
    path = tmp_path / "mlflow.db"
    path.write_text("a text\n" * 1000)
    with pytest.raises(MtlError, match="cannot be read"):
        read_runs(f"sqlite:///{path}", "chinese")
    assert path.read_text() == "a text\n" * 1000


def test_reading_does_not_write_to_the_store(store):
    uri, _ = store
    with by_sql(uri)._engine.connect() as connection, pytest.raises(Exception, match="readonly"):
        connection.exec_driver_sql("DELETE FROM runs")


@pytest.mark.parametrize("uri", ["postgresql+nosuch://me@localhost/none", "http://localhost:1"])
def test_an_address_that_is_not_for_sql_is_left_to_the_client(uri):
    assert by_sql(uri) is None


def test_says_that_there_is_no_store_and_makes_none(tmp_path):
    with pytest.raises(MtlError, match="no record yet"):
        read_runs(f"sqlite:///{tmp_path}/mlflow.db", "chinese")
    assert not list(tmp_path.iterdir())


def test_the_command_prints_a_table_and_writes_it(store, tmp_path, capsys):
    uri, _ = store
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    output = tmp_path / "tables" / "one.md"
    line = ["table", "chinese", "--uri", uri, "--sweep", "last", "--columns", "news", "--output", str(output)]
    args = parser.parse_args(line)
    assert command.run(args) == 0
    printed = capsys.readouterr()
    assert "| none | fixed | 50.00 |" in printed.out
    assert output.read_text(encoding="utf-8") == printed.out
    assert f"written to {output}" in printed.err
