"""`trainer.devices=2` on the command line."""

import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import distributed

from mtl.cli import processes
from mtl.errors import MtlError
from mtl.tracking.runs import read_runs
from mtl.training.module import MultiTaskModule

TASKS = "task=[./reviews.yaml,names.yaml]"
TWO = ("trainer.devices=2", "trainer.accelerator=cpu")


def runs(folder: Path, experiment: str = "mtl") -> pd.DataFrame:
    return read_runs(f"sqlite:///{folder / 'mlflow.db'}", experiment)


def numbers(run: dict) -> dict:
    """Without what is measured, and without padding, which depends on who reads which row."""
    kept = {name: value for name, value in run.items() if name.startswith("metrics.") and value == value}
    apart = ("metrics.time/", "metrics.system/")
    return {n: v for n, v in kept.items() if not n.startswith(apart) and not n.endswith(("/seconds", "/flops"))}


@pytest.mark.slow
def test_a_sweep_on_two_processes_has_one_run_a_job_with_the_numbers_of_one_process(mtl, folder):
    words = (TASKS, "weighting=upgrad", "optimizer=sgd", "head.dropout=0", "seed=0,1")
    assert mtl("train", "-m", *words, "tracking.experiment=one").code == 0
    done = mtl("train", "-m", *words, *TWO)
    assert done.code == 0, done.err
    one, two = (runs(folder, name).sort_values("tags.mtl.seed").to_dict("records") for name in ("one", "mtl"))
    assert len(one) == len(two) == 2
    for alone, shared in zip(one, two, strict=True):
        assert shared["status"] == "FINISHED"
        assert numbers(shared) == pytest.approx(numbers(alone), rel=1e-5, abs=1e-6)
        assert shared["metrics.train/reviews/rows"] == 12 * 8
    assert numbers(one[0]) != pytest.approx(numbers(one[1]), rel=1e-5, abs=1e-6)
    assert not list(folder.rglob("spool.jsonl"))
    assert not list(folder.rglob("process_1.log"))


@pytest.mark.slow
def test_two_processes_that_are_cut_off_go_on_to_the_very_same_numbers(mtl, folder, monkeypatch):
    words = (TASKS, "weighting=uncertainty", "head.dropout=0.4", "checkpoint_every=4", "eval_every=6", *TWO)
    assert mtl("train", *words, "tracking.experiment=whole").code == 0
    step, started = MultiTaskModule.training_step, []

    def cut_off(self, batch, index):
        if self.global_step == 9:
            raise KeyboardInterrupt
        return step(self, batch, index)

    def popen(*arguments, **options):
        started.append(subprocess.Popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(MultiTaskModule, "training_step", cut_off)
    monkeypatch.setattr(processes, "start", popen)
    handler = signal.getsignal(signal.SIGINT)
    assert mtl("train", *words).code == 130
    signal.signal(signal.SIGINT, handler)
    assert [process.poll() is not None for process in started] == [True]
    monkeypatch.setattr(MultiTaskModule, "training_step", step)
    done = mtl("train", *words)
    assert "going on from step 8 of 12" in done.err
    (whole,), (resumed,) = (runs(folder, name).to_dict("records") for name in ("whole", "mtl"))
    assert resumed["status"] == "FINISHED"
    assert numbers(resumed) == numbers(whole)


def test_a_process_that_cannot_begin_is_one_line(mtl, folder, monkeypatch):
    broken = folder / "broken.sh"
    broken.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    done = mtl("train", TASKS, *TWO)
    assert done.code == 2
    assert "mtl: process 1 of the run ended with code 3 and said: no such thing (all of it is in " in done.err
    assert list(runs(folder)["status"]) == ["FAILED"]


@pytest.mark.parametrize(("code", "error"), [(2, MtlError), (1, RuntimeError)])
def test_what_the_user_caused_in_another_process_is_one_line_here(tmp_path, monkeypatch, code, error):
    """It joins, says what is wrong and leaves, while this one waits for its numbers."""
    lines = (
        "import json, sys",
        "from torch import distributed",
        "told = json.loads(sys.stdin.readline())",
        "store = distributed.TCPStore('127.0.0.1', told['port'], is_master=False)",
        "store.set('ready 1', '')",
        "distributed.init_process_group('gloo', store=store, rank=1, world_size=2)",
        "print('mtl: task a: the loss is nan', file=sys.stderr)",
        f"sys.exit({code})",
    )

    def popen(arguments, **options):
        return subprocess.Popen([sys.executable, "-c", "\n".join(lines)], **options)

    monkeypatch.setattr(processes, "start", popen)
    said = rf"process 1 of the run ended with code {code} and said: mtl: task a: the loss is nan \(all"
    with pytest.raises(error, match=said), processes.company({"trainer": {"devices": 2}}, tmp_path):
        distributed.all_reduce(torch.zeros(1))


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("switching/rate=loss_ratio", "switching.block=4"), "an adaptive rate"),
        (("switching/order=curriculum",), "a curriculum without `places`"),
        (("budget.seconds=1",), "budget.seconds"),
        (("budget.flops=1e9",), "budget.flops"),
        (("probe=switching",), "probe=switching"),
    ],
)
def test_what_each_process_would_measure_for_itself_is_refused(mtl, folder, words, what):
    done = mtl("train", TASKS, *TWO, *words)
    assert done.code == 2
    assert f"mtl: trainer.devices should be 1 for {what}. Found 2" in done.err
    assert runs(folder).empty
