"""The page of `mtl report` from frames written by hand."""

import base64
import html.parser
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.errors import MtlError
from mtl.reporting.report.commands import sweeps
from mtl.reporting.report.facts import facts
from mtl.reporting.report.packages import packages, to_read
from mtl.reporting.report.page import Origin, Wanted, contents, write
from mtl.reporting.report.settings import default_baseline, default_rows, settings
from mtl.reporting.report.switching import realised

PLAIN = Wanted(figures=())
NAMES = {"title": "T", "experiment": "E", "sweep": "", "written": "now", "version": "0"}
NAMES |= {"table_command": "mtl table E", "compare_command": "mtl compare E", "report_command": "mtl report E"}


def no_history(run_ids, metrics):
    return pd.DataFrame({"run_id": [], "metric": [], "step": [], "value": []})


class Page(html.parser.HTMLParser):
    """The elements of a page, its addresses, and its text by section."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.said = Counter(), [], {"": ""}
        self._section, self._path = "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs
        self._path.append(tag)
        if tag == "section":
            self._section = dict(attrs)["id"]
            self.said[self._section] = ""

    def handle_endtag(self, tag):
        while self._path and self._path.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self._path:
            self.said[self._section] += f" {data}"

    def __getitem__(self, section):
        return " ".join(self.said[section].split())


def page(runs, wanted=PLAIN, *, everything=None, origin=None, history=no_history, **names):
    everything = runs if everything is None else everything
    values = contents(runs, everything, wanted, history, origin or Origin("SQLite file a.db"))
    return Page(write(values | NAMES | names))


def test_numbers_are_the_means_and_standard_errors_of_the_seeds(grid):
    found = page(grid.frame)
    values = [0.6, 0.61, 0.62]
    assert f"none pcgrad {100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=1) / 3**0.5:.2f}" in found["results"]
    assert "mean relative gain over the single-task runs" in found["results"]
    assert "24 finished" in found["run"]


def test_without_single_task_runs_there_is_no_gain_and_it_says_why(runs):
    for seed in range(2):
        runs.add({"news": 0.5 + seed / 10}, seed=seed)
    found = page(runs.frame)
    assert "there is no finished single-task run in this experiment" in found["results"]
    assert "mean relative gain" not in found["results"]


@pytest.mark.parametrize(("seeds", "few"), [(5, True), (6, False)])
def test_says_where_seeds_are_too_few_for_a_test(runs, seeds, few):
    for seed in range(seeds):
        runs.add({"news": 0.5 + seed / 100}, seed=seed, weighting="equal")
        runs.add({"news": 0.6 + seed / 90}, seed=seed, weighting="mgda")
    said = page(runs.frame)["tests"]
    assert said.startswith("Tests against weighting=equal")
    assert ("1 of 1 comparisons have fewer than 6 pairs" in said) == few
    assert f" {2 / 2**seeds:.4f} " in said  # all differences have one sign: the smallest p there is


def test_tests_are_left_out_where_no_pair_of_seeds_or_no_baseline_is(runs):
    runs.add({"news": 0.5}, weighting="equal")
    runs.add({"news": 0.6}, weighting="mgda")
    assert "no row shares two seeds with the baseline weighting=equal" in page(runs.frame)["tests"]
    with pytest.raises(MtlError, match="no finished run has weighting=x"):
        page(runs.frame, replace(PLAIN, baseline={"weighting": "x"}))
    frame = runs.frame.replace("equal", "dwa")
    assert "no baseline was named" in page(frame)["tests"]


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}&amp;</details>"


def test_nothing_that_was_recorded_becomes_markup(runs):
    for seed in range(2):
        for weighting in ("equal", HOSTILE):
            runs.add({"news": 0.5 + seed / 9}, seed=seed, weighting=weighting, **{HOSTILE: weighting})
    runs.add({}, status="FAILED")
    frame = runs.frame
    clean = page(frame.replace(HOSTILE, "mild"))
    for name in ("mlflow.runName", "mtl.error", "mtl.overrides", "mtl.host", "mtl.git_commit", "mtl.key"):
        frame[f"tags.{name}"] = HOSTILE
    frame["tags.mlflow.parentRunId"] = "p"
    frame[f"metrics.test/{HOSTILE}/loss"] = frame["metrics.train/news/rows"] = 1.0
    frame["tags.mtl.error"] += "\n" + HOSTILE
    origin = Origin(HOSTILE, {"p": {"mlflow.runName": HOSTILE, "mtl.overrides": HOSTILE}}, {"r": f"# {HOSTILE}\na==1"})
    found = page(frame, replace(PLAIN, baseline={"weighting": HOSTILE}), origin=origin, title=HOSTILE, sweep=HOSTILE)
    assert found.tags["script"] == clean.tags["script"] == found.tags["img"] == 0
    assert {name for name, _ in found.attributes} == {name for name, _ in clean.attributes}
    for section in ("", "run", "results", "tests", "configuration", "commands", "packages", "runs"):
        assert HOSTILE in found[section], section


def test_the_page_needs_nothing_from_elsewhere(grid):
    found = page(grid.frame, Wanted())
    addresses = [value for name, value in found.attributes if name in ("src", "href", "action", "data", "srcset")]
    assert len(addresses) > 9
    assert all(value.startswith(("#", "data:image/")) for value in addresses)
    assert found.tags["script"] == found.tags["link"] == found.tags["iframe"] == 0
    links = {value.removeprefix("#") for name, value in found.attributes if name == "href"}
    assert links == {value for name, value in found.attributes if name == "id"}
    policy = [value for name, value in found.attributes if name == "content" and "default-src" in value]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_figures_are_drawn_where_there_is_data_and_explained_where_not(grid):
    found = page(grid.frame, Wanted())
    images = [value for name, value in found.attributes if name == "src"]
    assert len(images) == found.tags["figure"] == 4  # ranks, sweep, parallel, front
    for image in images:
        kind, _, data = image.partition(",")
        assert kind == "data:image/svg+xml;base64"
        tree = ET.fromstring(base64.b64decode(data))
        assert not [element for element in tree.iter() if element.tag.endswith(("}script", "}text"))]
    said = found["figures"]
    assert "Mean ranks (1 is best, to the right) of 4 configurations (prompt × weighting)" in said
    assert "Left out" in said
    assert "How the tasks' gradients point : conflict needs steps of two tasks" in said
    assert "Task weights over the steps : no run recorded train/news/weight" in said


def test_a_large_figure_becomes_a_png(grid, monkeypatch):
    monkeypatch.setattr("mtl.reporting.report.pictures.LARGEST_SVG", 1000)
    images = [v for name, v in page(grid.frame, replace(PLAIN, figures=("ranks",))).attributes if name == "src"]
    assert base64.b64decode(images[0].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")


def test_failures_of_one_reason_stand_together(runs):
    runs.add({"news": 0.5})
    for seed in range(3):
        runs.add({"news": None}, seed=seed, status="FAILED")
    runs.add({"news": None}, status="KILLED")
    runs.add({"news": None}, status="RUNNING")
    frame = runs.frame
    frame["tags.mtl.error"] = [None, "A: b\nat line 3", "C: d", "A: b\nat line 3", "KeyboardInterrupt: ", None]
    found = facts(frame)
    assert dict(found.states) == {"finished": 1, "failed": 3, "stopped before its end": 1, "unfinished": 1}
    assert [(one.reason, one.runs) for one in found.failures[:2]] == [("A: b", ("run1", "run3")), ("C: d", ("run2",))]
    assert found.failures[0].whole == "A: b\nat line 3"
    said = page(frame)["run"]
    assert "1 finished , 3 failed" in said
    assert "2 runs: run1; run3 failed A: b A: b at line 3" in said
    assert "it has not said that it ended" in said


def test_runs_of_another_version_are_named_and_the_others_shown(grid):
    grid.add({"news": 0.9})
    grid.rows[-1] |= {"tags.mtl.seed": "x", "tags.mlflow.runName": "of long ago"}
    grid.rows.append({"run_id": "bare", "status": "FINISHED", "start_time": pd.Timestamp(99, unit="s")})
    found = page(grid.frame, Wanted())
    assert "2 finished runs without the tags that this version of mtl writes" in found["run"]
    assert "of long ago; bare" in found["run"]
    assert "none pcgrad 61.00 ± 0.58" in found["results"]
    assert found.tags["figure"] == 4


def test_there_is_a_page_where_nothing_finished(runs):
    runs.add({"news": None}, status="FAILED", lr=0.1)
    found = page(runs.frame, Wanted())
    assert "there is no finished run to show (1 failed)" in found["results"]
    assert "lr 0.1" in found["configuration"]
    bare = pd.DataFrame({"run_id": ["a"], "status": ["RUNNING"], "start_time": [pd.Timestamp(0)]})
    assert "No run recorded its configuration" in page(bare, Wanted())["configuration"]


def test_numbers_that_are_no_numbers_break_nothing(grid):
    for row, value in zip(grid.rows[2:], (np.nan, np.inf, -np.inf), strict=False):
        row |= {"metrics.test/news/accuracy": value, "metrics.train/news/rows": value}
    found = page(grid.frame, Wanted())
    assert "nan" in found["results"]


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ([{}, {"seed": 1}], ["weighting"]),
        ([{"prompt": "a"}, {"prompt": "b"}], ["prompt"]),
        ([{"optimizer__lr": 1}, {"optimizer__lr": 2}], ["optimizer.lr"]),
        ([{"weighting": "a", "weighting__lead": 1}, {"weighting": "b", "weighting__lead": 2}], ["weighting"]),
        ([{"weighting": "a", "x": 1}, {"weighting": "b", "x": 1}, {"weighting": "b", "x": 2}], ["weighting", "x"]),
        ([{"seed": 0, "data__seed": 0}, {"seed": 1, "data__seed": 1}], ["weighting"]),
        ([{"seed": 0, "optimizer__lr": 1}, {"seed": 1, "optimizer__lr": 2}], ["optimizer.lr"]),
        ([{"tracking__every": 1}, {"tracking__every": 2, "seed": 1}], ["weighting"]),
        ([{"switching": "joint"}, {"switching": "single", "weighting": "z"}], ["weighting"]),
        ([{"switching": "single"}, {"switching": "single", "seed": 1}], ["tasks"]),
    ],
)
def test_rows_are_named_by_what_varies_but_the_seed(runs, given, rows):
    for one in given:
        runs.add({"news": 0.5}, **one)
    assert default_rows(runs.frame) == rows


def test_the_customary_baseline_is_one_that_others_are_beside(runs):
    for prompt, weighting in (("none", "equal"), ("keyword", "equal")):
        runs.add({"news": 0.5}, prompt=prompt, weighting=weighting)
    assert default_baseline(runs.frame, ["prompt", "weighting"]) == {"prompt": "none"}
    assert default_baseline(runs.frame, ["weighting"]) == {}
    runs.add({"news": 0.5}, weighting="mgda")
    assert default_baseline(runs.frame, ["prompt", "weighting"]) == {"weighting": "equal"}


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["", "1", "2 "])), min_size=1, max_size=6))
def test_every_setting_is_shared_or_varies_over_all_runs(configurations):
    frame = pd.DataFrame([{f"params.{name}": value for name, value in one.items()} for one in configurations])
    found = settings(frame)
    configured = [one for one in configurations if one]
    assert found.without == len(configurations) - len(configured)
    assert set(found.common) | set(found.varying) == {name for one in configurations for name in one}
    shared = {name for name in found.common if len({one.get(name) for one in configured}) == 1}
    assert shared == set(found.common)
    assert all(sum(counts.values()) == len(configured) and len(counts) > 1 for counts in found.varying.values())


def with_rows(runs, **rows):
    for one, counts in rows.items():
        runs.add(dict.fromkeys(counts, 0.5), prompt=one)
        runs.rows[-1] |= {f"metrics.train/{task}/rows": float(count) for task, count in counts.items()}
    return runs.frame


def test_shares_of_rows_are_of_what_all_tasks_saw(runs):
    found = realised(
        with_rows(runs, none={"news": 300, "length": 100}, keyword={"news": 100, "length": 100}), ["prompt"]
    )
    assert (found.keys, found.headers) == (("prompt", "task"), ("rows seen", "share of rows"))
    assert found.lines[0] == (("none", "news"), ("300", "75.0%"))
    assert found.lines[3] == (("keyword", "length"), ("100", "50.0%"))


def test_one_line_a_task_where_all_configurations_are_alike(runs):
    found = realised(with_rows(runs, none={"news": 30, "length": 10}, keyword={"news": 30, "length": 10}), ["prompt"])
    assert found.alike
    assert found.lines == ((("news",), ("30", "75.0%")), (("length",), ("10", "25.0%")))


def test_a_sweep_whose_run_was_deleted_or_is_gone_is_still_named(runs):
    for parent in ("kept", "deleted", "gone", None):
        runs.add({"news": 0.5})
        runs.rows[-1]["tags.mlflow.parentRunId"] = parent
    runs.rows[-1]["tags.mtl.in_sweep.kept"] = "true"
    frame = runs.frame
    known = {
        "kept": {"mtl.overrides": "seed=0,1"},
        "deleted": {"deleted": "true", "mtl.overrides": "x=1"},
        "gone": None,
    }
    found = {one.run_id: one for one in sweeps(frame, known)}
    assert (found["kept"].command, found["kept"].runs, found["kept"].remark) == ("mtl train -m seed=0,1", 2, "")
    assert (found["deleted"].command, found["deleted"].runs) == ("mtl train -m x=1", 1)
    assert "deleted" in found["deleted"].remark
    assert (found["gone"].command, found["gone"].remark) == ("", "its own run is not in the record any more")
    assert "1 run of no sweep" in page(frame, origin=Origin("", known))["commands"]


def test_versions_that_differ_between_runs_are_shown():
    found = packages({"a": "# Python 3.11, Linux\ntorch==2.6\nx==1\n", "b": "# Python 3.12, Linux\ntorch==2.7\nx==1\n"})
    assert found.platforms == ("Python 3.11, Linux", "Python 3.12, Linux")
    assert dict(found.differ) == {"torch": "2.6, 2.7"}
    assert found.whole == ("torch==2.7", "x==1")
    assert packages({}).read == 0


def test_packages_are_read_of_the_first_and_last_run_of_each_machine(runs):
    for host in ("a", "b", "a", "a"):
        runs.add({"news": 0.5})
        runs.rows[-1]["tags.mtl.host"] = host
    assert to_read(runs.frame.iloc[::-1]) == ["run0", "run3", "run1"]


def test_the_appendix_says_what_it_leaves_out(grid):
    found = page(grid.frame, replace(PLAIN, appendix=3))
    assert "The first 3 of 24" in found["runs"]
    assert found.tags["details"] == 3
