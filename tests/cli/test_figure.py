"""`mtl figure` on a small record of real runs."""

import contextlib
import shutil
import sqlite3
import xml.etree.ElementTree as ET

import pytest
from mlflow import MlflowClient

from mtl.drawing import figure
from mtl.reporting.figures import KINDS
from mtl.tracking.runs import read_runs
from mtl.tracking.store import tracking_uri

TASKS = "task=[./reviews.yaml,./names.yaml]"


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Filled by the first test that asks: the store of eight runs, a sweep of six and two single-task ones."""
    return tmp_path_factory.mktemp("figures")


@pytest.fixture
def record(mtl, folder, trained):
    if not (trained / "mlflow.db").exists():
        sweep = ["weighting=fixed_80_20,uncertainty,pcgrad", "seed=0,1", "tracking.experiment=small"]
        assert mtl("train", "-m", TASKS, *sweep).code == 0
        alone = ["switching=single", "switching.task=reviews,names", "tracking.experiment=small"]
        assert mtl("train", "-m", TASKS, *alone).code == 0
        # a plain copy would miss what still stands in the write-ahead log
        with contextlib.closing(sqlite3.connect("mlflow.db")) as made:
            made.execute("VACUUM INTO ?", (str(trained / "mlflow.db"),))
        return mtl
    shutil.copy(trained / "mlflow.db", folder / "mlflow.db")
    return mtl


def sweeps():
    client = MlflowClient(tracking_uri())
    found = client.search_runs([client.get_experiment_by_name("small").experiment_id], "tags.`mtl.role` = 'sweep'")
    return [run.info.run_id for run in reversed(found)]


def test_every_kind_draws_a_real_record(record, folder):
    for kind in KINDS:
        more = ["--by", "prompt,weighting"] if kind == "sweep" else []
        done = record("figure", kind, "small", "--format", "png,svg,pdf", *more)
        assert (done.code, done.err) == (0, "")
        shown, written = done.out.splitlines()
        assert "seed" in shown
        assert written == f"written to {kind}-small.png, {kind}-small.svg, {kind}-small.pdf"
        assert (folder / f"{kind}-small.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"{kind}-small.pdf").read_bytes().startswith(b"%PDF-")
        words = {element.text for element in ET.parse(folder / f"{kind}-small.svg").getroot().iter()}
        assert any("pcgrad" in (word or "") for word in words)


def test_out_names_the_format(record, folder):
    assert record("figure", "ranks", "small", "--out", "a.b/one.svg").code == 0
    assert [path.name for path in (folder / "a.b").iterdir()] == ["one.svg"]


def test_curves_are_the_recorded_ones(record):
    drawing = figure("weights", read_runs("sqlite:///mlflow.db", "small"))
    client = MlflowClient(tracking_uri())
    (axes,) = [axes for axes in drawing.axes if axes.get_title() == "uncertainty"]
    runs = read_runs("sqlite:///mlflow.db", "small").query("`tags.mtl.weighting` == 'uncertainty'")
    runs = runs[runs["tags.mtl.switching"] == "joint"]
    both = [client.get_metric_history(run_id, "train/names/weight") for run_id in runs["run_id"]]
    means = [sum(point.value for point in points) / 2 for points in zip(*both, strict=True)]
    (line,) = [line for line in axes.lines if line.get_label() == "names"]
    assert line.get_ydata() == pytest.approx(means)
    assert line.get_xdata().tolist() == [point.step for point in both[0]] == [4, 8, 12]


def test_attaches_the_files_to_the_sweep_or_the_run(record):
    first, _ = sweeps()
    client = MlflowClient(tracking_uri())
    done = record("figure", "ranks", "small", "--sweep", first[:12], "--record")
    assert done.code == 0, done.err
    assert [file.path for file in client.list_artifacts(first, "figures")] == [
        "figures/ranks-small.pdf",
        "figures/ranks-small.png",
    ]
    run_id = read_runs("sqlite:///mlflow.db", "small", sweep=first)["run_id"].iloc[0]
    assert record("figure", "weights", "small", "--runs", run_id[:10], "--record", "--out", "w.svg").code == 0
    assert [file.path for file in client.list_artifacts(run_id, "figures")] == ["figures/w.svg"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pie", "small"], "there is no figure 'pie'. Kinds: conflict, front,"),
        (["ranks", "smal"], "there is no experiment 'smal'"),
        (["ranks", "small", "--runs", "zzz"], "runs: there is no run zzz among the 8"),
        (["ranks", "small", "--record"], "record: 8 runs are shown; name their sweep with --sweep"),
        (["ranks", "small", "--format", "bmp"], "format should be of png, svg or pdf. Found 'bmp'"),
        (["ranks", "small", "--out", "x.bmp"], "format should be of png, svg or pdf. Found 'bmp'"),
        (["ranks", "small", "--out", "mlflow.db/x.png"], "out: mlflow.db/x.png cannot be written"),
    ],
)
def test_a_wrong_word_is_one_line(record, words, message):
    done = record("figure", *words)
    assert done.code == 2
    assert done.err.startswith(f"mtl: {message}")
    assert done.err.count("\n") == 1
