import json

import pytest

from mtl.cli.study import find, load, planned, studies_dir
from mtl.errors import MtlError

SCRIPT = """
import argparse, pathlib
from .numbers_of import SCORE
parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true")
parser.add_argument("--out", type=pathlib.Path)
options = parser.parse_args()
options.out.mkdir(parents=True)
(pathlib.Path(options.out.parent / "calls")).open("a").write("x")
(options.out / "figure.png").write_text("picture")
(options.out / "measured.csv").write_text(
    "method,column,mean,standard_error,n,seeds,notes\\n"
    f"good,score,{SCORE},,1,,\\nbad,score,0.2,,1,,\\nbad,other,,,0,,\\n"
)
"""
EXPECTED = "row,column,value,tolerance,source\ngood,score,0.5,0.1,a paper\nbad,score,0.5,0.1,a paper\n"


@pytest.fixture
def study(folder):
    path = folder / "studies" / "mine"
    path.mkdir(parents=True)
    (path / "study.yaml").write_text("shows: how it goes\nminutes: 2\n")
    (path / "run.py").write_text(SCRIPT)
    (path / "numbers_of.py").write_text("SCORE = 0.55\n")
    (path / "expected.csv").write_text(EXPECTED)
    return path


def last(done):
    return done.out.strip().splitlines()[-1]


def test_a_script_is_run_once_and_held_against_what_is_expected(mtl, folder, study):
    done = mtl("reproduce", "mine", "--studies", "studies")
    assert (done.code, last(done)) == (0, "1 inside, 1 outside, 0 missing")
    where = folder / "reproduced" / "mine"
    assert {"measured.csv", "table.md", "verdict.md", "figure.png"} <= {path.name for path in where.iterdir()}
    assert "| outside | bad | score | 0.5 ± 0.1 | 0.2 |" in (where / "verdict.md").read_text()
    assert "| good | 0.5500 |" in (where / "table.md").read_text()
    assert mtl("reproduce", "mine", "--studies", "studies", "--strict").code == 1
    assert (where / "calls").read_text() == "x"
    assert mtl("reproduce", "./studies/mine", "--again").code == 0
    assert (where / "calls").read_text() == "xx"
    (study / "numbers_of.py").write_text("SCORE = 0.7\n")
    done = mtl("reproduce", "mine", "--studies", "studies")
    assert last(done) == "0 inside, 2 outside, 0 missing"


def test_a_cell_without_a_number_is_missing_and_the_code_is_1(mtl, study):
    (study / "expected.csv").write_text(EXPECTED + "bad,other,1,0,a paper\n")
    done = mtl("reproduce", "mine", "--studies", "studies")
    assert (done.code, last(done)) == (1, "1 inside, 1 outside, 1 missing")


def test_quick_is_not_compared_unless_it_has_numbers_of_its_own(mtl, folder, study):
    done = mtl("reproduce", "mine", "--studies", "studies", "--quick")
    assert (done.code, last(done)) == (0, "quick: not comparable")
    assert "quick: not comparable" in (folder / "reproduced/mine/quick/verdict.md").read_text()
    (study / "expected_quick.csv").write_text("row,column,value,tolerance,source\ngood,score,0.5,0.1,us\n")
    assert last(mtl("reproduce", "mine", "--studies", "studies", "--quick")) == "1 inside, 0 outside, 0 missing"


def test_the_list_says_what_was_measured(mtl, folder, study):
    (folder / "studies" / "broken").mkdir()
    (folder / "studies" / "broken" / "study.yaml").write_text("nonsense: 1\n")
    words = ["reproduce", "--list", "--studies", "studies"]
    assert "not run" in mtl(*words).out
    mtl("reproduce", "mine", "--studies", "studies", "--quick")
    assert "not run" in mtl(*words).out
    mtl("reproduce", "mine", "--studies", "studies")
    shown = " ".join(mtl(*words).out.split())
    assert "how it goes" in shown
    assert "outside" in shown
    assert "broken" in shown


def test_the_state_keeps_date_and_counts(mtl, folder, study):
    mtl("reproduce", "mine", "--studies", "studies")
    state = json.loads((folder / "reproduced/mine/state.json").read_text())
    assert (state["inside"], state["outside"], state["missing"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("study.yaml", "shows: a\nminutes: 1\ncolour: red\n", "mine/study.yaml: the fields are shows"),
        ("study.yaml", "shows: a\n", "the field minutes is missing"),
        ("study.yaml", "shows: a\nminutes: long\n", "minutes should be a number of 0 or more. Found 'long'"),
        ("study.yaml", "[1]\n", "should hold the fields"),
        ("study.yaml", "a: [\n", "mine/study.yaml cannot be read"),
        ("study.yaml", "shows: a\nminutes: 1\nsweeps: {sweep.yaml: []}\n", "there is no file sweep.yaml"),
        ("table.yaml", "width: 1\n", "mine/table.yaml: the fields are rows"),
        ("table.yaml", "columns: score\n", "columns should be a list. Found 'score'"),
        ("table.yaml", "better: {score: up}\n", "better should be max or min. Found 'up'"),
        ("table.yaml", "columns: [speed]\n", "no column 'speed'; it has score, other"),
        ("expected.csv", EXPECTED + "ugly,score,1,0,x\n", "mine/expected.csv: the table has no row 'ugly'"),
        ("run.py", "raise SystemExit(3)\n", "run.py ended with code 3"),
    ],
)
def test_what_is_wrong_with_a_study_is_one_line(mtl, study, file, text, says):
    (study / file).write_text(text)
    done = mtl("reproduce", "mine", "--studies", "studies")
    assert done.code == 2
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["mien"], "'mien' is no study. Did you mean mine?"),
        (["zzz"], "There is: mine"),
        (["./nowhere"], "there is no nowhere/study.yaml"),
        ([], "name one of mine"),
        (["mine", "seed=1"], "mine is a script and takes no overrides. Found seed=1"),
    ],
)
def test_a_wrong_command_is_one_line(mtl, study, words, says):
    done = mtl("reproduce", *words, "--studies", "studies")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert says in done.err


def test_a_study_without_sweeps_and_script_is_refused(study):
    (study / "run.py").unlink()
    with pytest.raises(MtlError, match="Found neither"):
        load("mine", study.parent)


def test_sweeps_train_what_is_missing_and_are_counted(mtl, folder):
    path = folder / "studies" / "swept"
    path.mkdir(parents=True)
    (path / "study.yaml").write_text("shows: a sweep\nminutes: 1\nexperiment: swept\nsweeps: {sweep.yaml: [seed=0]}\n")
    (path / "sweep.yaml").write_text(
        "# @package _global_\nsteps: 2\neval_every: 2\nbatch_size: 4\ndata: {unit: words}\n"
        "trainer: {progress: false}\ntracking: {experiment: swept, system_every: 0}\n"
        "hydra:\n  sweeper:\n    params:\n      seed: 0,1\n      weighting: equal,fixed\n"
    )
    (path / "table.yaml").write_text("rows: [weighting]\ncolumns: [reviews/accuracy]\n")
    head = "row,column,value,tolerance,source\n"
    (path / "expected.csv").write_text(head + "equal,reviews/accuracy,0.5,0.5,us\nfixed,reviews/accuracy,2,0,us\n")
    words = ["reproduce", "swept", "--studies", "studies", "task=[./reviews.yaml,./names.yaml]"]
    assert planned(load("swept", folder / "studies")) == 4
    assert "not run (4" in " ".join(mtl("reproduce", "--list", "--studies", "studies").out.split())
    done = mtl(*words, "seed=0")
    assert (done.code, last(done)) == (0, "1 inside, 1 outside, 0 missing"), done.err
    (folder / "reproduced/swept/state.json").unlink()
    assert "2/4 runs" in " ".join(mtl("reproduce", "--list", "--studies", "studies").out.split())
    done = mtl(*words)
    assert done.out.count("in the record already as run") == 2
    assert "mean ± standard error over 2 seeds" in (folder / "reproduced/swept/table.md").read_text()


def test_every_study_of_the_project_loads():
    shipped = {"seed_article", "toy_landscape", "fronts", "gradnorm_toy", "blocked_vs_interleaved", "sampling_rates"}
    assert shipped <= set(find(studies_dir()))
    assert planned(load("seed_article", studies_dir())) == 63
