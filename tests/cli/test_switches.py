"""`probe=switching` in a run, and `mtl switches` on it."""

import json
import re
import signal
import xml.etree.ElementTree as ET

import pytest
from mlflow import MlflowClient

from mtl.functional.switch_summary import summarise
from mtl.functional.switch_trace import Trace
from mtl.tracking.one_run import read_text
from mtl.tracking.runs import read_runs
from mtl.training.module import MultiTaskModule

TASKS = "task=[./reviews.yaml,names.yaml]"
BLOCKS = ("switching=round_robin", "switching/order=blocks", "switching.order.length=3")
PROBED = ("probe=switching", "probe.every=4", "probe.rows=5")


def uri(folder):
    return f"sqlite:///{folder / 'mlflow.db'}"


def trace_of(folder, run_id):
    return Trace.from_json(read_text(uri(folder), run_id, "switching/probe.json"))


def test_a_probed_run_is_the_same_run_with_more_in_its_record(mtl, folder):
    assert mtl("train", TASKS, *BLOCKS, "tracking.experiment=plain").code == 0
    assert mtl("train", TASKS, *BLOCKS, *PROBED).code == 0
    (plain,) = read_runs(uri(folder), "plain").to_dict("records")
    (probed,) = read_runs(uri(folder), "mtl").to_dict("records")
    scores = {name: value for name, value in plain.items() if name.startswith(("metrics.test/", "metrics.train/"))}
    assert scores
    assert {name: probed[name] for name in scores} == scores
    summary = summarise(trace_of(folder, probed["run_id"]))
    assert summary.trace.visits[:2] == [(0, 3, (0,)), (3, 6, (1,))]
    assert probed["metrics.switch/names/reviews/cost"] == summary.cost[1, 0].mean
    assert probed["metrics.switch/names/dwell"] == 3
    assert probed["metrics.switch/reviews/exposure"] == summary.exposure["reviews"]
    assert probed["metrics.time/probe_share"] > 0
    assert not [name for name in plain if "probe" in name and name.startswith("metrics.")]


def test_the_page_stands_alone_and_is_attached_to_its_run(mtl, folder):
    assert mtl("train", TASKS, *BLOCKS, *PROBED, "weighting=upgrad", "steps=24").code == 0
    (run,) = read_runs(uri(folder), "mtl").to_dict("records")
    done = mtl("switches", run["run_id"][:6])
    assert done.code == 0
    page = folder / f"switches-{run['run_id'][:8]}.html"
    assert f"written to {page.name}" in done.out
    text = page.read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", text.replace("xlink:href", "href"))
    assert "<script" not in text
    for figure in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ET.fromstring(figure)
    assert text.count("<svg") == text.count("</svg>") == 6
    for words in ("reviews → names", "names → reviews", "Lopez-Paz", "in training, first order", "forwards.0"):
        assert words in text
    files = {file.path for file in MlflowClient(uri(folder)).list_artifacts(run["run_id"], "switching")}
    assert files == {"switching/probe.json", f"switching/{page.name}"}
    assert mtl("switches", run["tags.mlflow.runName"], "--out", "deep/page.html", "--no-record").code == 0
    assert (folder / "deep" / "page.html").read_text() == text


def test_a_run_without_switches_has_a_page_too(mtl, folder):
    assert mtl("train", TASKS, "switching=joint", *PROBED).code == 0
    done = mtl("switches", "none x equal, seed 0", "--out", "page.html")
    assert done.code == 0
    assert "Every step trains reviews, names: there is no switch" in done.out
    assert "No task was left and taken up again" in (folder / "page.html").read_text()


def test_one_line_says_what_is_wrong(mtl, folder):
    assert mtl("train", TASKS).code == 0
    assert mtl("train", TASKS, "seed=1").code == 0
    assert mtl("train", TASKS, "again=true").code == 0
    (one,) = [run for run in read_runs(uri(folder), "mtl").to_dict("records") if run["tags.mtl.seed"] == "1"]
    for words, said in (
        ((one["run_id"],), r"was trained without the probe; `mtl train ... probe=switching` switches it on"),
        (
            ("none x equal, seed 0",),
            r"2 runs are named 'none x equal, seed 0'; take one by its id, newest first: \w{8},",
        ),
        (("nothing",), "there is no run whose id begins with 'nothing' or that has this name"),
        (("no'thing",), "there is no run no'thing in sqlite"),
        (("x", "--uri", "sqlite:///elsewhere.db"), "there is no store at"),
    ):
        done = mtl("switches", *words)
        assert done.code == 2
        assert re.search(said, done.err), done.err
        assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("probe.rows=0", "mtl: probe: `rows` should be a whole number of at least 1. Found 0"),
        ("probe.share=2", "mtl: probe: `share` should be above 0 and at most 1. Found 2"),
        ("+probe.size=2", "unexpected keyword argument 'size'"),
    ],
)
def test_a_wrong_option_is_found_before_there_is_a_run(mtl, folder, option, said):
    done = mtl("train", TASKS, "probe=switching", option)
    assert done.code == 2
    assert said in done.err
    assert read_runs(uri(folder), "mtl").empty


def test_rows_without_the_probe_are_refused(mtl):
    done = mtl("train", TASKS, "probe.rows=4")
    assert (done.code, done.err) == (2, "mtl: probe.rows needs probe=switching. Found 4 with probe=none\n")


def test_a_probed_run_that_is_cut_off_ends_with_the_measures_of_one_that_is_not(mtl, folder, monkeypatch):
    words = (TASKS, *BLOCKS, *PROBED, "steps=40", "checkpoint_every=7", "trunk.dropout=0.2", "weighting=upgrad")
    assert mtl("train", *words, "tracking.experiment=whole").code == 0
    step = MultiTaskModule.training_step

    def cut_off(self, batch, index):
        if self.global_step == 24:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(MultiTaskModule, "training_step", cut_off)
    handler = signal.getsignal(signal.SIGINT)
    assert mtl("train", *words).code == 130
    signal.signal(signal.SIGINT, handler)
    (killed,) = read_runs(uri(folder), "mtl").to_dict("records")
    assert "its probe is recorded when it ends" in mtl("switches", killed["run_id"]).err
    monkeypatch.setattr(MultiTaskModule, "training_step", step)
    assert "going on from step 21" in mtl("train", *words).err
    (whole,) = read_runs(uri(folder), "whole").to_dict("records")
    (resumed,) = read_runs(uri(folder), "mtl").to_dict("records")
    measured = [name for name in whole if name.startswith(("metrics.switch/", "metrics.probe/", "metrics.test/"))]
    assert len(measured) > 30
    assert {name: resumed[name] for name in measured} == {name: whole[name] for name in measured}
    traces = [json.loads(trace_of(folder, run["run_id"]).to_json()) for run in (whole, resumed)]
    for trace in traces:
        for timed in ("probe_seconds", "step_seconds", "first", "within"):
            del trace[timed]
    assert traces[0] == traces[1]
