"""`mtl design` from rows to a winner, and what it refuses."""

import json
import shutil

import numpy as np
import pytest
import yaml

from mtl.cli.design import sort_words
from mtl.cli.design_files import write_all
from mtl.cli.design_rows import gather, load
from mtl.cli.design_trunk import check_families, open_trunk
from mtl.cli.tournament import Judge, Tried
from mtl.data.task import TaskSpec
from mtl.design.analysis import describe
from mtl.design.candidates import Candidate, candidates, controls
from mtl.design.keywords import STATISTICS, keywords
from mtl.design.trunk import Alike
from mtl.errors import MtlError
from mtl.functional.row_bootstrap import Difference
from mtl.reporting.design.page import Line, verdict
from mtl.tracking.runs import read_runs

TASK = "task=[./reviews.yaml]"
SMALL = (TASK, "data.unit=words", "batch_size=8", "trainer.progress=false", "tracking.system_every=0", "trunk=lstm")


@pytest.mark.slow
def test_designs_a_prompt_and_records_where_it_came_from(mtl, folder):
    few = ("--families", "keyword", "--statistics", "chi2", "--finalists", "1", "--output", "out")
    done = mtl("design", *SMALL, "budget=80", *few)
    assert done.code == 0, done.err
    found = json.loads((folder / "out" / "results.json").read_text())
    assert found["spent"] <= found["budget"] == 80
    assert found["verdict"] in done.out
    assert {line["control"] for line in found["lines"]} == {
        "none",
        *(f"design_keyword_{name}" for name in ("random", "shuffled", "filler")),
    }
    prompt = yaml.safe_load((folder / "out" / "winner.yaml").read_text())
    assert prompt["keywords"].keys() == {"reviews"}
    runs = read_runs(f"sqlite:///{folder / 'mlflow.db'}", "design")
    assert len(runs) == 2 + 5
    chi2 = runs[runs["tags.mtl.design.origin"] == "chi2"].iloc[0]
    words = chi2["tags.mtl.design.words.reviews"].split()
    assert set(words) <= {"nice", "great", "fine", "love", "poor", "awful", "sad", "hate"}
    assert list(runs[runs["tags.mtl.design.role"] == "control"]["tags.mtl.design.round"].unique()) == ["2"]
    steps = runs.groupby("tags.mtl.design.round")["params.steps"].first().astype(int)
    assert steps["2"] >= 2 * steps["1"]
    page = (folder / "out" / "report.html").read_text()
    assert page.count("data:image/") == 4
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert found["tasks"]["reviews"]["trunk"] is None
    assert "starts untrained" in page
    # a run whose folder is gone is trained again, and only that one
    shutil.rmtree(chi2["tags.mtl.folder"])
    again = mtl("design", *SMALL, "budget=80", *few)
    assert again.code == 0, again.err
    assert "folder of their runs is gone: design_keyword_chi2\n" in again.out
    repeated = json.loads((folder / "out" / "results.json").read_text())["scores"]
    assert [one["choosing"] for one in repeated] == [one["choosing"] for one in found["scores"]]
    assert len(read_runs(f"sqlite:///{folder / 'mlflow.db'}", "design")) == 2 + 5 + 1
    # what was found is a prompt like any other
    trained = mtl("train", *SMALL, "steps=2", "prompt=out/winner.yaml")
    assert trained.code == 0, trained.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=[zh_nope]"], "there is no task 'zh_nope'. There is: digit_left"),
        ([TASK, "budget=10"], "budget should be at least"),
        ([TASK, "budget=ten"], "budget should be a whole number of steps. Found 'ten'"),
        ([TASK, "seed=1,1"], "seed should be different whole numbers, such as 0,1. Found '1,1'"),
        ([TASK, "prompt=keyword"], "design sets prompt itself"),
        ([TASK, "batch_size=0"], "batch_size should be a whole number of at least 1. Found 0"),
        (["trunk=lstm"], "design needs task=[...]"),
        (["task=[./names.yaml]"], "task names: design knows words for labels of classification. Found kind tagging"),
        (
            [TASK, "--statistics", "entropy"],
            "statistics should be of chi2, pmi, log_odds, tfidf or lm. Found 'entropy'",
        ),
        ([TASK, "trunk=lstm", "--statistics", "lm"], "statistics: lm needs a trunk with a language model: the trunk"),
        ([TASK, "trunk=lstm", "--families", "prefix"], "families: prefix needs a trunk with keys and values"),
        ([TASK, "trunk=minilm", "trunk.cache=true", "--families", "soft"], "trunk.cache should be false: family soft"),
        (
            [TASK, "data.unit=words", "data.max_length=4"],
            "design_keyword_chi2 for task reviews: data.max_length should",
        ),
        ([TASK, "--finalists", "0"], "finalists should be 1 or more. Found 0"),
        ([TASK, "--least", "999"], "task reviews: no word stands in 999 of the"),
        ([TASK, "trunk=hf_decoder", "trunk.name=x", "head=generation"], "design compares labels, and head=generation"),
        ([TASK, "trunk=nope"], "trunk"),
    ],
)
def test_what_is_asked_wrongly_is_one_line_before_any_training(mtl, folder, words, said):
    done = mtl("design", *words)
    assert done.code == 2
    assert said in done.err
    assert done.err.startswith("mtl: ")
    assert len(done.err.strip().splitlines()) == 1
    assert not (folder / "design").exists()


@pytest.mark.slow
def test_a_pretrained_trunk_is_looked_at_and_takes_prefixes_and_feature_vectors(mtl, folder, minilm):
    plain = (folder / "reviews.yaml").read_text().split("keywords")[0]
    (folder / "plain.yaml").write_text(plain)
    asked = ("task=[./plain.yaml]", *SMALL[1:-1], "trunk=minilm", "data.max_length=48", "budget=90")
    few = ("--statistics", "chi2", "--finalists", "1", "--families", "feature_vector,prefix")
    done = mtl("design", *asked, *few)
    assert done.code == 0, done.err
    found = json.loads((folder / "design" / "results.json").read_text())
    probes = found["tasks"]["plain"]["trunk"]["probes"]
    assert probes["linear"] > 0.9 > probes["majority"]  # words that say good or bad
    assert 1 < found["tasks"]["plain"]["trunk"]["rank"] < 384
    for family in ("prefix", "feature_vector"):
        node = yaml.safe_load((folder / "design" / "prompts" / f"design_{family}_chi2.yaml").read_text())
        assert set(node["init"]["plain"]) <= {"nice", "great", "fine", "love", "poor", "awful", "sad", "hate"}
    assert "of 384" in (folder / "design" / "report.html").read_text()


def test_label_words_of_a_language_model_are_candidates_with_controls_of_their_own(folder, tiny_model):
    trunk = ("trunk=hf_decoder", f"trunk.name={tiny_model('gpt2')}", "data.max_length=60")
    config, loaded = load([*SMALL[:-1], *trunk])
    rows = gather(config, loaded, 5, ["lm"])
    (own, ours) = candidates(loaded, rows.tables, 1, ["keyword"])
    assert (own.origin, ours.origin) == ("author", "lm")
    best = keywords(rows.tables["lm"]["reviews"], "lm", 1)
    assert ours.words["reviews"] == [word.word for word in best]
    assert {word.label for word in best} == {"good", "bad"}
    said = {one.origin: one.words.get("reviews") for one in controls(loaded, rows.tables, 1, "lm", ["keyword"])}
    assert len(said["random"]) == len(said["filler"]) == 2
    assert set(said["random"]) <= set(rows.tables["lm"]["reviews"].words)
    assert gather(config, loaded, 5, None).tables.keys() == STATISTICS.keys()


def test_words_that_the_tokenizer_does_not_know_are_no_keywords(folder, tiny_model):
    config, loaded = load([*SMALL[:-1], "trunk=hf_encoder", f"trunk.name={tiny_model('bert')}", "data.max_length=60"])
    rows = gather(config, loaded, 5, ["chi2"])
    assert {"nice", "great", "awful", "book"} <= set(rows.counts["reviews"].words)
    assert not {"love", "hate", "poor"} & set(rows.counts["reviews"].words)


def test_a_pretrained_trunk_that_reads_no_keys_and_values_takes_no_prefix(folder, tiny_model):
    words = (*SMALL[:-1], "trunk=hf_encoder", f"trunk.name={tiny_model('modernbert')}", "data.max_length=60")
    config, loaded = load(words)
    check_families(config, ["prefix"])  # the class alone can't tell
    with pytest.raises(MtlError, match="families: prefix needs a trunk with keys and values"):
        check_families(config, ["prefix"], open_trunk(config, loaded))


def test_help_says_every_default(mtl):
    said = " ".join(mtl("design", "--help").out.split())
    for option in ("--keywords", "--least", "--finalists"):
        assert "(default: " in said.split(f"{option} N ")[-1].split("--")[0], option


def test_words_of_the_command_are_told_apart():
    asked = sort_words(["task=[zh_sentiment]", "budget=70", "trunk=lstm", "seed=3,4"])
    assert (asked.budget, asked.seeds, asked.words) == (70, (3, 4), ("task=[zh_sentiment]", "trunk=lstm"))


@pytest.fixture
def judge(literal):
    labels = ["a", "b"] * 26
    source = literal([f"t{i}" for i in range(52)], ["train"] * 4 + ["val"] * 46 + ["test"] * 2, label=labels)
    return Judge({"t": TaskSpec("t", "classification", source).load()})


def test_the_rows_that_choose_are_not_those_that_compare(judge):
    chosen, compared = (judge.half("t", choosing=choosing) for choosing in (True, False))
    assert sorted([*chosen, *compared]) == list(range(46))
    answers = np.tile([0, 1], 23)[None].copy()  # all right: labels alternate from row 4 on
    answers[0, compared] = 1 - answers[0, compared]
    tried = Tried(Candidate("c", "none", "none", {}), 1, 1, ("r",), {"t": answers})
    assert judge.score(tried, "t", choosing=True) == 1
    assert judge.score(tried, "t", choosing=False) == 0


def test_few_validation_rows_are_refused(literal):
    source = literal([f"t{i}" for i in range(10)], label=["a", "b"] * 5)
    with pytest.raises(MtlError, match="task t: design needs at least 20 validation rows"):
        Judge({"t": TaskSpec("t", "classification", source).load()}).check()


def line(control, value, holm, name="w"):
    return Line(name, control, "t", Difference(value, value - 0.1, value + 0.1, holm), holm)


def test_the_verdict_counts_only_what_is_significant_for_the_winner():
    lines = [line("none", 0.3, 0.01), line("filler", 0.2, 0.2), line("random", -0.3, 0.04), line("none", 1, 0, "other")]
    assert verdict("w", lines) == "winner w: better than none in t (1 of 3 comparisons); worse than random in t"
    assert verdict("w", lines[1:2]) == "winner w: not shown to beat any control"


def test_numbers_that_are_not_known_are_null_in_the_results(judge, tmp_path):
    """JSON has no NaN, and readers other than Python's stop at one."""
    rows = judge.loaded["t"]
    tried = Tried(Candidate("w", "none", "none", {}), 1, 1, ("r",), {"t": np.tile([0, 1], 23)[None]})
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "w.yaml").write_text("_target_: w\n")
    asked = {"budget": 1, "seeds": (0,), "words": ("task=[t]",), "experiment": "e"}
    told = {"keywords": {"t": {}}, "effects": {"t": {}}} | {"pairs": [], "trunk": {}, "skipped": []}
    told |= {"facts": {"t": describe(rows, 8)}, "alike": [Alike(("t", "u"), {"none": np.nan, "phrase": 0.5}, 3)]}
    write_all(tmp_path, asked, judge, [tried], [line("none", np.inf, 1.0)], told)

    def refuse(word):
        raise AssertionError(word)

    found = json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)
    assert found["alike"] == [{"tasks": ["t", "u"], "cka": {"none": None, "phrase": 0.5}, "rows": 3}]
    assert found["lines"][0]["difference"] == {"value": None, "low": None, "high": None, "p": 1.0}
