import functools
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from sklearn.metrics import accuracy_score, f1_score

from mtl.cli.main import main
from mtl.tracking.runs import read_runs

TASKS = "task=[./reviews.yaml,names.yaml]"


def runs(folder: Path, experiment: str = "mtl") -> pd.DataFrame:
    return read_runs(f"sqlite:///{folder / 'mlflow.db'}", experiment)


def test_the_record_holds_all_that_the_design_names(mtl, folder):
    done = mtl("train", TASKS, "weighting=uncertainty", "seed=3")
    assert done.code == 0, done.err
    (run,) = runs(folder).to_dict("records")
    assert run["status"] == "FINISHED"
    assert run["tags.mlflow.runName"] == "none x uncertainty, seed 3"
    tags = {k.removeprefix("tags.mtl."): v for k, v in run.items() if k.startswith("tags.mtl.")}
    assert {"prompt": "none", "weighting": "uncertainty", "switching": "joint", "trunk": "lstm"}.items() <= tags.items()
    assert tags["tasks"] == "reviews,names"
    assert tags["seed"] == "3"
    assert (tags["primary.names"], tags["direction.names"]) == ("f1", "max")
    assert run["params.optimizer.lr"] == "0.003"
    assert run["params.tasks.reviews.text"] == "comment"
    for task, metric in (("reviews", "accuracy"), ("names", "f1")):
        for name in (f"train/{task}/loss", f"train/{task}/weight", f"val/{task}/{metric}", f"test/{task}/{metric}"):
            assert np.isfinite(run[f"metrics.{name}"]), name
        assert run[f"metrics.train/{task}/rows"] == run[f"metrics.train/{task}/rows_planned"] == 12 * 8
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    steps = [point.step for point in client.get_metric_history(run["run_id"], "train/reviews/loss")]
    assert steps == [4, 8, 12]
    files = {file.path for file in client.list_artifacts(run["run_id"])}
    assert {"config.yaml", "packages.txt", "model", "predictions", "data.md"} <= files
    inputs = client.get_run(run["run_id"]).inputs.dataset_inputs
    assert {entry.dataset.name for entry in inputs} == {"reviews", "names"}


def test_recorded_predictions_give_the_recorded_scores(mtl, folder):
    assert mtl("train", TASKS, "steps=40").code == 0
    (run,) = runs(folder).to_dict("records")
    files = next(Path(folder / "mlartifacts").rglob("predictions"))
    reviews = pd.read_parquet(files / "reviews.parquet")
    assert accuracy_score(reviews.target, reviews.answer) == pytest.approx(run["metrics.test/reviews/accuracy"])
    macro = f1_score(reviews.target, reviews.answer, average="macro")
    assert macro == pytest.approx(run["metrics.test/reviews/macro_f1"], abs=1e-6)
    names = pd.read_parquet(files / "names.parquet")
    target, answer = np.concatenate(names.target), np.concatenate(names.answer)
    assert accuracy_score(target, answer) == pytest.approx(run["metrics.test/names/accuracy"])
    source = pd.read_csv(folder / "reviews.csv")
    assert (source.stars[reviews.row].to_numpy() == reviews.target.to_numpy()).all()
    assert (source.comment[reviews.row].to_numpy() == reviews.text.to_numpy()).all()


def test_a_weighting_that_takes_gradients_records_their_norms_and_cosines(mtl, folder):
    assert mtl("train", TASKS, "weighting=upgrad").code == 0
    (run,) = runs(folder).to_dict("records")
    assert -1 <= run["metrics.gradient/reviews/names/cosine"] <= 1
    assert run["metrics.gradient/reviews/norm"] > 0
    assert run["metrics.gradient/names/norm"] > 0
    assert "metrics.gradient/names/reviews/cosine" not in run


def test_any_other_weighting_records_them_now_and_then_and_trains_the_same(mtl, folder):
    for every in (5, 0):  # 5 becomes 8, a multiple of tracking.every
        assert mtl("train", TASKS, "weighting=uncertainty", f"tracking.gradients_every={every}", "again=true").code == 0
    seen, unseen = runs(folder).sort_values("start_time").to_dict("records")
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    points = client.get_metric_history(seen["run_id"], "gradient/reviews/names/cosine")
    assert [point.step for point in points] == [8]
    assert not client.get_metric_history(unseen["run_id"], "gradient/reviews/names/cosine")
    for name in ("test/reviews/loss", "test/names/loss", "train/reviews/weight"):
        assert seen[f"metrics.{name}"] == unseen[f"metrics.{name}"]
    assert seen["tags.mtl.key"] == unseen["tags.mtl.key"]


def test_a_sweep_is_a_parent_with_its_jobs_as_children_and_one_table(mtl, folder):
    done = mtl("train", "-m", TASKS, "prompt=none,keyword", "weighting=equal,uncertainty", "seed=0,1")
    assert done.code == 0, done.err
    found = runs(folder)
    assert len(found) == 8
    (parent,) = set(found["tags.mlflow.parentRunId"])
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    assert client.get_run(parent).info.status == "FINISHED"
    table = mtl("table", "mtl", "--format", "csv", "--output", "table.csv")
    assert table.code == 0
    cells = pd.read_csv(folder / "table.csv")
    scores = cells[cells.column == "test/reviews/accuracy"]
    assert (scores.n == 2).all()
    assert len(scores) == 4
    for row in scores.itertuples():
        chosen = found[(found["tags.mtl.prompt"] == row.prompt) & (found["tags.mtl.weighting"] == row.weighting)]
        values = chosen["metrics.test/reviews/accuracy"]
        assert row.mean == pytest.approx(values.mean())
        assert row.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(2), abs=1e-12)


def test_delta_m_is_measured_against_the_single_task_runs_of_prompt_trunk_and_seed(mtl, folder):
    assert mtl("train", TASKS).code == 0
    assert "metrics.test/delta_m" not in runs(folder) or runs(folder)["metrics.test/delta_m"].isna().all()
    assert mtl("train", "-m", TASKS, "switching=single", "switching.task=reviews,names").code == 0
    assert mtl("train", TASKS, "weighting=uncertainty").code == 0
    found = runs(folder)
    alone = found[found["tags.mtl.switching"] == "single"]
    assert set(alone["tags.mtl.tasks"]) == {"reviews", "names"}
    joint = found[found["tags.mtl.weighting"] == "uncertainty"].iloc[0]
    gains = []
    for column in ("metrics.test/reviews/accuracy", "metrics.test/names/f1"):
        baseline = alone[column].dropna().item()
        gains.append((joint[column] - baseline) / baseline)
    if min(alone["metrics.test/names/f1"].dropna()) > 0:
        assert joint["metrics.test/delta_m"] == pytest.approx(100 * np.mean(gains), abs=1e-4)
    other_seed = mtl("train", TASKS, "seed=5")
    assert other_seed.code == 0
    assert np.isnan(runs(folder).iloc[0]["metrics.test/delta_m"])


def test_a_finished_run_is_not_trained_again_unless_asked_or_changed(mtl, folder):
    assert mtl("train", "-m", TASKS, "seed=0,1").code == 0
    again = mtl("train", "-m", TASKS, "seed=0,1,2", "trainer.threads=1", "tracking.every=1")
    assert again.code == 0
    first = set(runs(folder)["run_id"])
    assert len(first) == 3
    assert again.out.count("in the record already as run") == 2
    table = mtl("table", "mtl", "--sweep", "last")
    assert "seeds (0, 1, 2)" in table.out
    assert mtl("train", TASKS, "seed=0", "again=true").code == 0
    assert "seed 0 twice" in mtl("table", "mtl").out
    assert "twice" not in mtl("table", "mtl", "--sweep", "last").out
    assert len(runs(folder)) == 4
    twice = runs(folder)[runs(folder)["tags.mtl.seed"] == "0"]
    assert twice["metrics.test/names/loss"].nunique() == 1
    with (folder / "reviews.csv").open("a") as file:
        file.write("one more row,good\n")
    assert "in the record already" not in mtl("train", TASKS, "seed=0").out
    assert len(runs(folder)) == 5


def test_the_best_model_on_validation_is_the_one_tested(mtl, folder):
    assert mtl("train", TASKS, "selection=best", "steps=40", "eval_every=10").code == 0
    (run,) = runs(folder).to_dict("records")
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    history = client.get_metric_history(run["run_id"], "val/score")
    assert len(history) == 4
    (checkpoint,) = Path(folder / "mlartifacts").rglob("best.ckpt")
    import torch

    best = max(history, key=lambda point: point.value)
    assert torch.load(checkpoint, weights_only=True)["global_step"] in {
        point.step for point in history if point.value == best.value
    }


CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize(
    "override",
    [
        f"{group}={path.stem}"
        for group in ("prompt", "weighting", "transform", "switching", "trunk", "optimizer")
        for path in sorted((CONF / group).glob("*.yaml"))
        if not path.stem.startswith("hf_")  # these name no model of their own
        if path.stem != "lenet"  # it reads images: test_images
    ],
)
def test_every_option_trains(mtl, folder, override):
    extra = {"switching=single": ["switching.task=names"], "prompt=prefix": ["trunk=transformer"]}.get(override, [])
    done = mtl("train", TASKS, override, *extra, "steps=3")
    assert done.code == 0, done.err
    assert (runs(folder)["status"] == "FINISHED").all()


def test_a_task_file_says_its_name_in_its_header():
    for path in (CONF / "task").glob("*.yaml"):
        assert path.read_text().splitlines()[0] == f"# @package tasks.{path.stem}"
        assert yaml.safe_load(path.read_text())["kind"]


def test_an_error_in_training_is_recorded_as_failed_with_its_reason(mtl, folder, monkeypatch):
    from mtl.model.multitask import MultiTaskModel

    def broken(*_):
        raise RuntimeError("the trunk fell over")

    monkeypatch.setattr(MultiTaskModel, "forward", broken)
    with pytest.raises(RuntimeError, match="fell over"):
        main(["train", TASKS, "steps=3", "trainer.progress=false"])
    (run,) = runs(folder).to_dict("records")
    assert run["status"] == "FAILED"
    assert "fell over" in run["tags.mtl.error"]


def test_a_failing_job_is_named_and_leaves_the_others_alone(mtl, folder):
    done = mtl("train", "-m", TASKS, "weighting=fixed", "weighting.weights=[1],[0.5,0.5]")
    assert done.code == 2
    assert "job 0 failed: weighting: `weights` should be one number a task (reviews, names)" in done.err
    assert list(runs(folder)["status"]) == ["FINISHED"]
    assert "2 jobs: 1 done, 1 failed\n  job 0 failed: none x fixed, seed 0: weighting:" in done.out
    again = mtl("train", "-m", TASKS, "weighting=fixed", "weighting.weights=[0.5,0.5],[0.1,0.9]")
    assert "2 jobs: 1 done, 1 in the record already\n" in again.out
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    parents = runs(folder)["tags.mlflow.parentRunId"].tolist()
    assert [client.get_run(parent).info.status for parent in parents] == ["FINISHED", "FAILED"]


@pytest.mark.slow
def test_ctrl_c_ends_a_run_as_killed_with_its_metrics_so_far(folder):
    words = ["train", TASKS, "steps=100000", "data.unit=words", "tracking.every=10", "trainer.progress=false"]
    # a process started in the background of a shell inherits that SIGINT is ignored
    listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen([sys.executable, "-m", "mtl.cli", *words], cwd=folder, preexec_fn=listening)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(1)
        try:
            if runs(folder)["metrics.train/reviews/loss"].notna().any():
                break
        except Exception:
            continue
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(60) == 130
    finally:
        process.kill()
    (run,) = runs(folder).to_dict("records")
    assert run["status"] == "KILLED"
    assert run["metrics.train/reviews/rows"] > 0
