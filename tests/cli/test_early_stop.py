"""Tasks and runs that stop by their validation scores."""

import signal

import pytest

from mtl.tracking.runs import read_runs
from mtl.training.module import MultiTaskModule

TASKS = "task=[./reviews.yaml,names.yaml]"
# a learning rate of 0 for nothing gains, and a block that is shorter than the run
STALLS = (TASKS, "steps=40", "eval_every=5", "switching.block=5", "optimizer.lr=0")
# scores rise over three validations or so, those of `reviews` less steeply
RISES = (TASKS, "steps=40", "eval_every=5", "switching.block=5", "optimizer.lr=0.0005")
RISES = (*RISES, "early_stop.patience=2", "early_stop.least_gain=0.1")
MIXED = ("switching/composition=mixed", "switching/order=shuffled", "head.dropout=0.4", "tracking.every=4")


def runs(folder, experiment="mtl"):
    return read_runs(f"sqlite:///{folder / 'mlflow.db'}", experiment).to_dict("records")


def numbers(run):
    kept = {name: value for name, value in run.items() if name.startswith("metrics.") and "/seconds" not in name}
    return {name: value for name, value in kept.items() if not name.startswith(("metrics.time/", "metrics.system/"))}


def test_a_run_whose_tasks_have_all_stalled_ends(mtl, folder):
    done = mtl("train", *STALLS, "early_stop.patience=2")
    assert done.code == 0, done.err
    (run,) = runs(folder)
    # the first validation is a gain, the two after it are not
    assert run["metrics.early_stop/names/step"] == run["metrics.early_stop/reviews/step"] == 15
    assert run["metrics.early_stop/step"] == run["metrics.budget/steps"] == 15


def test_a_run_whose_mean_has_stalled_ends(mtl, folder):
    assert mtl("train", *STALLS, "early_stop.mean_patience=3", "switching=proportional").code == 0
    (run,) = runs(folder)
    assert run["metrics.early_stop/step"] == run["metrics.budget/steps"] == 20
    assert "metrics.early_stop/names/step" not in run


def test_nothing_stops_unless_asked(mtl, folder):
    assert mtl("train", *STALLS).code == 0
    (run,) = runs(folder)
    assert run["metrics.budget/steps"] == 40
    assert not [name for name in run if "early_stop/" in name and name.startswith("metrics.")]


@pytest.mark.parametrize(("cut", "every"), [(12, 5), (20, 5), (22, 7)])
def test_a_cut_off_run_retires_the_same_task_at_the_same_step(mtl, folder, monkeypatch, cut, every):
    """With a checkpoint at each validation, which is written before it, and with others."""
    words = (*RISES, *MIXED, f"checkpoint_every={every}")
    assert mtl("train", *words, "tracking.experiment=whole").code == 0
    (whole,) = runs(folder, "whole")
    assert whole["metrics.early_stop/reviews/step"] == 20
    step = MultiTaskModule.training_step

    def cut_off(self, batch, index):
        if self.global_step == cut:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(MultiTaskModule, "training_step", cut_off)
    handler = signal.getsignal(signal.SIGINT)
    assert mtl("train", *words).code == 130
    signal.signal(signal.SIGINT, handler)
    monkeypatch.setattr(MultiTaskModule, "training_step", step)
    done = mtl("train", *words)
    assert done.code == 0, done.err
    assert f"going on from step {cut // every * every}" in done.err
    (resumed,) = runs(folder)
    assert numbers(resumed) == numbers(whole)


def test_a_retired_task_has_no_more_rows(mtl, folder):
    assert mtl("train", *RISES, *MIXED).code == 0
    (run,) = runs(folder)
    assert [run[f"metrics.early_stop/{name}/step"] for name in ("reviews", "names")] == [20, 25]
    assert [run[f"metrics.train/{name}/rows"] for name in ("reviews", "names")] == [8 * 20, 8 * 20 + 16 * 5]
    assert run["metrics.budget/steps"] == 25


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["early_stop.patience=0"], ["early_stop.patience", "at least 1", "0"]),
        (["early_stop.mean_patience=soon"], ["early_stop.mean_patience", "'soon'"]),
        (["early_stop.patience=1", "early_stop.least_gain=-1"], ["early_stop.least_gain", "-1"]),
        (["early_stop.patience=1"], ["12 steps are planned as one", "switching.block", "mean_patience"]),
        (["early_stop.patience=1", "switching.block=3", "switching/order=sequential"], ["planned as one"]),
    ],
)
def test_a_wrong_option_is_one_line(mtl, words, parts):
    done = mtl("train", TASKS, *words)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    for part in parts:
        assert part in done.err
