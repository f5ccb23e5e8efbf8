import argparse

import pytest

from mtl.cli import table as command
from mtl.errors import MtlError
from mtl.tracking import runs as module
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
    run = {"mtl.role": "run", "mtl.tasks": "news", "mtl.seed": "0", "mtl.prompt": "none", "mtl.switching": "joint"}
    run |= {"mtl.primary.news": "accuracy", "mtl.direction.news": "max", "mtl.weighting": "fixed"}
    ids = {}
    for number, children in enumerate((2, 1)):
        ids[f"sweep{number}"] = parent = add(client, experiment, **{"mtl.role": "sweep"})
        for child in range(children):
            ids[f"{number}.{child}"] = add(client, experiment, **run, **{"mlflow.parentRunId": parent})
    ids["alone"] = add(client, experiment, **{**run, "mtl.switching": "single"})
    ids["other"] = add(client, experiment)
    return uri, ids


def test_reads_every_training_run_over_many_pages(store, monkeypatch):
    uri, ids = store
    monkeypatch.setattr(module, "PAGE", 2)
    frame = read_runs(uri, "chinese")
    assert sorted(frame["run_id"]) == sorted(ids[name] for name in ("0.0", "0.1", "1.0", "alone"))


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
    assert {"status", "start_time", "tags.mtl.prompt", "tags.mtl.seed"} <= set(same)
    for name in same:
        assert frame[name].fillna("").astype(str).tolist() == theirs[name].fillna("").astype(str).tolist()


@pytest.mark.parametrize(("sweep", "children"), [("last", ["1.0"]), ("sweep1", ["1.0"]), ("sweep0", ["0.0", "0.1"])])
def test_reads_one_sweep(store, sweep, children):
    uri, ids = store
    sweep = ids.get(sweep, sweep)
    for name in {sweep, sweep[:12]}:
        assert set(read_runs(uri, "chinese", sweep=name)["run_id"]) == {ids[child] for child in children}


def test_an_experiment_without_runs_is_an_empty_frame(store):
    frame = read_runs(store[0], "empty")
    assert list(frame.columns) == ["run_id", "status", "start_time"]
    assert frame.empty


@pytest.mark.parametrize(
    ("experiment", "sweep", "message"),
    [
        ("chines", None, r"no experiment 'chines' in sqlite:.*Did you mean chinese\?"),
        ("zzz", None, "There is: Default, chinese, empty"),
        ("chinese", "zzz", "no 'zzz' in experiment chinese. Its sweeps, newest first: "),
        ("chinese", "", "begins the run ids of 2 sweeps"),
        ("empty", "last", "newest first: none"),
    ],
)
def test_an_unknown_name_is_answered_with_what_there_is(store, experiment, sweep, message):
    with pytest.raises(MtlError, match=message):
        read_runs(store[0], experiment, sweep=sweep)


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
