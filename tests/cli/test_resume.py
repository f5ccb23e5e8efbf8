import contextlib
import functools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from mtl.cli.main import main
from mtl.tracking.runs import read_runs
from mtl.training.module import MultiTaskModule

TASKS = "task=[./reviews.yaml,names.yaml]"
HARD = ("steps=40", "eval_every=15", "checkpoint_every=7", "head.dropout=0.4", "tracking.every=4")


def runs(folder: Path) -> pd.DataFrame:
    return read_runs(f"sqlite:///{folder / 'mlflow.db'}", "mtl")


def numbers(run: dict) -> dict:
    kept = {name: value for name, value in run.items() if name.startswith("metrics.") and value == value}
    return {
        name: value
        for name, value in kept.items()
        if not name.startswith(("metrics.time/", "metrics.system/")) and "/seconds" not in name
    }


@pytest.mark.parametrize(
    ("cut", "options"),
    [
        (9, ("weighting=nash_mtl", "prompt=keyword", "trunk.dropout=0.2")),
        (24, ("weighting=uncertainty", "selection=best", "trunk.dropout=0.2")),
        (24, ("weighting=gradvac", "trunk.dropout=0.2")),
        (24, ("weighting=moco", "trunk.dropout=0.2")),
        (24, ("weighting=grad_drop", "switching/composition=mixed")),
        (24, ("weighting=famo", "optimizer=adamw", "switching.block=10")),
        (24, ("weighting=uncertainty", "optimizer=adatask", "trunk.dropout=0.2")),
        (36, ("switching/composition=mixed", "switching/order=shuffled", "switching/rate=bandit", "switching.block=5")),
        (36, ("weighting=rlw", "switching=proportional", "trunk=transformer")),
    ],
)
def test_a_run_that_is_cut_off_goes_on_to_the_very_same_numbers(mtl, folder, monkeypatch, cut, options):
    assert mtl("train", TASKS, *HARD, *options, "tracking.experiment=whole").code == 0
    (whole,) = read_runs(f"sqlite:///{folder / 'mlflow.db'}", "whole").to_dict("records")
    step = MultiTaskModule.training_step

    def cut_off(self, batch, index):
        if self.global_step == cut:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(MultiTaskModule, "training_step", cut_off)
    handler = signal.getsignal(signal.SIGINT)
    assert mtl("train", TASKS, *HARD, *options).code == 130
    signal.signal(signal.SIGINT, handler)
    (killed,) = runs(folder).to_dict("records")
    assert killed["status"] == "KILLED"
    monkeypatch.setattr(MultiTaskModule, "training_step", step)
    done = mtl("train", TASKS, *HARD, *options)
    assert done.code == 0
    assert f"going on from step {cut // 7 * 7} of 40" in done.err
    (resumed,) = runs(folder).to_dict("records")
    assert resumed["run_id"] == killed["run_id"]
    assert resumed["status"] == "FINISHED"
    assert numbers(resumed) == numbers(whole)
    assert switch_points(folder, "mtl") == switch_points(folder, "whole")


def test_steps_that_are_repeated_are_recorded_once(mtl, folder, monkeypatch):
    """Interrupted at step 12 and again at 19, each time five steps after the last checkpoint."""
    words, step = (TASKS, *HARD, "tracking.every=1"), MultiTaskModule.training_step
    handler = signal.getsignal(signal.SIGINT)
    for cut in (12, 19):

        def cut_off(self, batch, index, cut=cut):
            if self.global_step == cut:
                raise KeyboardInterrupt
            return step(self, batch, index)

        monkeypatch.setattr(MultiTaskModule, "training_step", cut_off)
        assert mtl("train", *words).code == 130
        signal.signal(signal.SIGINT, handler)
    monkeypatch.setattr(MultiTaskModule, "training_step", step)
    assert mtl("train", *words).code == 0
    (run,) = runs(folder).to_dict("records")
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    for name in ("train/reviews/loss", "train/names/weight", "data/names/rows_train"):
        steps = [point.step for point in client.get_metric_history(run["run_id"], name)]
        assert steps == ([0] if name.startswith("data/") else list(range(1, 41))), name
    assert not list(folder.glob("outputs/*/*/spool*"))


@pytest.mark.parametrize("cut", [14, 17])
def test_the_validation_at_a_checkpoint_is_not_lost(mtl, folder, monkeypatch, cut):
    """Killed in the validation after step 14, and three steps after it."""
    words = (TASKS, *HARD, "eval_every=7")
    begins = MultiTaskModule.on_validation_epoch_start if cut == 14 else MultiTaskModule.on_train_batch_start

    def cut_off(self, *rest):
        if self.global_step == cut:
            raise KeyboardInterrupt
        return begins(self, *rest)

    monkeypatch.setattr(MultiTaskModule, begins.__name__, cut_off)
    handler = signal.getsignal(signal.SIGINT)
    assert mtl("train", *words).code == 130
    signal.signal(signal.SIGINT, handler)
    monkeypatch.setattr(MultiTaskModule, begins.__name__, begins)
    done = mtl("train", *words)
    assert f"going on from step {7 if cut == 14 else 14} of 40" in done.err
    (run,) = runs(folder).to_dict("records")
    history = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").get_metric_history(run["run_id"], "val/score")
    assert [point.step for point in history] == [7, 14, 21, 28, 35, 40]


def test_a_failed_run_is_tried_again_as_a_new_one(mtl, folder, monkeypatch):
    step = MultiTaskModule.training_step

    def broken(*_):
        raise RuntimeError("fell over")

    monkeypatch.setattr(MultiTaskModule, "training_step", broken)
    with pytest.raises(RuntimeError):
        main(["train", TASKS, "steps=12", "trainer.progress=false", "tracking.system_every=0"])
    monkeypatch.setattr(MultiTaskModule, "training_step", step)
    words = ["train", TASKS, "steps=12", "trainer.progress=false", "tracking.system_every=0"]
    with pytest.raises(SystemExit):
        main(words)
    assert sorted(runs(folder)["status"]) == ["FAILED", "FINISHED"]


@pytest.mark.slow
def test_a_sweep_that_is_killed_ten_times_at_random_ends_with_the_table_of_one_that_is_not(mtl, folder):
    sweep = ("-m", TASKS, "seed=range(3)", "weighting=equal,uncertainty,rlw,nash_mtl", "steps=300")
    sweep += ("checkpoint_every=20", "head.dropout=0.3")
    small = ("eval_every=50", "batch_size=8", "data.unit=words", "data.max_length=32", "tracking.every=4")
    assert mtl("train", *sweep, *small, "tracking.experiment=whole").code == 0
    quiet = ("trainer.progress=false", "tracking.system_every=0")
    words = [sys.executable, "-m", "mtl.cli", "train", *sweep, *small, *quiet]
    listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    chance = random.Random(11)
    hits = []
    for kill in range(10):
        before = spooled(folder)
        process = subprocess.Popen(words, cwd=folder, preexec_fn=listening, stdout=subprocess.DEVNULL)
        while kill % 3 and process.poll() is None and spooled(folder) == before:  # else: while it starts
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 3.0))
        hits.append(process.poll() is None)
        process.kill()
        process.wait()
    assert all(hits), "the sweep ended before its last kill"
    assert mtl("train", *sweep, *small).code == 0
    whole, found = (
        frame.sort_values(["tags.mtl.weighting", "tags.mtl.seed"]).to_dict("records")
        for frame in (read_runs(f"sqlite:///{folder / 'mlflow.db'}", "whole"), runs(folder))
    )
    assert [run["status"] for run in found] == ["FINISHED"] * 12
    for left, right in zip(found, whole, strict=True):
        assert numbers(left) == numbers(right)
    assert history(folder, "mtl") == history(folder, "whole")
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mtl").experiment_id
    assert "RUNNING" not in {run.info.status for run in client.search_runs([experiment])}
    tables = [mtl("table", experiment, "--rows", "weighting").out for experiment in ("mtl", "whole")]
    assert tables[0] == tables[1]
    assert "3 seeds" in tables[0]


def spooled(folder: Path) -> int:
    """Bytes in all spools of the folder; files come and go meanwhile."""
    found = 0
    for path, _, names in os.walk(folder):
        if "spool.jsonl" in names:
            with contextlib.suppress(FileNotFoundError):
                found += (Path(path) / "spool.jsonl").stat().st_size
    return found


def switch_points(folder: Path, experiment: str) -> set[tuple]:
    return {point for point in history(folder, experiment) if point[2].startswith("switch/")}


def history(folder: Path, experiment: str) -> set[tuple]:
    """Every point of every curve: weighting, seed, metric, step, value. A step that is repeated counts once where its
    value is the same."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    points = set()
    for run in read_runs(f"sqlite:///{folder / 'mlflow.db'}", experiment).to_dict("records"):
        for name in client.get_run(run["run_id"]).data.metrics:
            if not name.startswith(("time/", "system/")) and "/seconds" not in name:
                told = client.get_metric_history(run["run_id"], name)
                who = run["tags.mtl.weighting"], run["tags.mtl.seed"], name
                points |= {(*who, point.step, point.value) for point in told}
    return points
