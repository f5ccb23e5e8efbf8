"""Runs whose length is in another unit than steps."""

import signal

import pytest
from mlflow import MlflowClient

from mtl.tracking.runs import read_runs
from mtl.training.module import MultiTaskModule

TASKS = "task=[./reviews.yaml,names.yaml]"


def runs(folder, experiment="mtl"):
    return read_runs(f"sqlite:///{folder / 'mlflow.db'}", experiment).to_dict("records")


def numbers(run):
    """All measurements but those of time."""
    kept = {name: value for name, value in run.items() if name.startswith("metrics.") and "/seconds" not in name}
    return {name: value for name, value in kept.items() if not name.startswith(("metrics.time/", "metrics.system/"))}


def budget(run, name):
    return run[f"metrics.budget/{name}"]


@pytest.mark.parametrize(("unit", "amount"), [("rows", 150), ("tokens", 1000), ("flops", 1e9)])
def test_a_run_ends_with_the_step_that_reaches_its_amount(mtl, folder, unit, amount):
    done = mtl("train", TASKS, f"budget.{unit}={amount}", "switching=round_robin")
    assert done.code == 0, done.err
    (run,) = runs(folder)
    steps, used = budget(run, "steps"), budget(run, unit)
    assert amount <= used < amount * (1 + 2 / steps)
    assert steps > 3
    assert run["params.steps"] == "None"
    for name in ("rows", "tokens", "seconds", "flops"):
        parts = [budget(run, f"{task}/{name}") for task in ("reviews", "names")]
        assert sum(parts) == pytest.approx(budget(run, name))
        assert min(parts) > 0
    assert run["metrics.train/names/rows"] == budget(run, "names/rows")


def test_seconds_count_and_end_a_run(mtl, folder):
    done = mtl("train", TASKS, "budget.seconds=0.5", "eval_every=20", "weighting=scheduled", "switching/rate=annealed")
    assert done.code == 0, done.err
    (run,) = runs(folder)
    assert 0.5 <= budget(run, "seconds") < 2
    assert "metrics.val/names/f1" in run
    page = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").list_artifacts(run["run_id"])
    assert "budget.md" in {file.path for file in page}


@pytest.mark.parametrize("unit", ["tokens=4000", "flops=8e9"])
@pytest.mark.parametrize("cut", [9, "last"])
def test_a_run_that_is_cut_off_is_as_long_and_ends_with_the_same_numbers(mtl, folder, monkeypatch, unit, cut):
    words = (TASKS, f"budget.{unit}", "eval_every=7", "checkpoint_every=1", "head.dropout=0.4", "weighting=scheduled")
    words += ("switching/composition=mixed", "switching/order=shuffled", "switching/rate=annealed", "switching.block=5")
    assert mtl("train", *words, "tracking.experiment=whole").code == 0
    (whole,) = runs(folder, "whole")
    steps = int(budget(whole, "steps"))
    assert steps > 12
    step, ends = MultiTaskModule.training_step, MultiTaskModule.on_validation_epoch_start

    def cut_off(self, batch, index):
        if self.global_step == cut:
            raise KeyboardInterrupt
        return step(self, batch, index)

    def cut_off_last(self):
        if self.global_step == steps:
            raise KeyboardInterrupt
        ends(self)

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        patched.setattr(MultiTaskModule, "training_step", cut_off)
        if cut == "last":
            patched.setattr(MultiTaskModule, "on_validation_epoch_start", cut_off_last)
        assert mtl("train", *words).code == 130
    signal.signal(signal.SIGINT, handler)
    done = mtl("train", *words)
    assert done.code == 0, done.err
    assert f"going on from step {9 if cut == 9 else steps - 1}" in done.err
    (resumed,) = runs(folder)
    assert resumed["status"] == "FINISHED"
    assert numbers(resumed) == numbers(whole)
    assert budget(resumed, "seconds") > 0


def test_steps_have_no_part_in_the_identity_of_a_run_in_rows(mtl, folder):
    assert mtl("train", TASKS, "budget.rows=100", "steps=5").code == 0
    done = mtl("train", TASKS, "budget.rows=100", "steps=7")
    assert "in the record already" in done.out
    assert mtl("train", TASKS, "budget.rows=100", "steps=null").code == 0
    assert len(runs(folder)) == 1


def test_the_table_shows_where_the_compute_went(mtl):
    assert mtl("train", TASKS, "steps=4").code == 0
    done = mtl("table", "mtl", "--columns", "budget/rows,budget/names/seconds")
    assert done.code == 0
    assert "64" in done.out
