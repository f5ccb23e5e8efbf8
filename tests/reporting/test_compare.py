import csv
import io
import math

import numpy as np
import pytest
from scipy import stats

from mtl.errors import MtlError
from mtl.functional.holm import holm
from mtl.reporting.compare import compare
from mtl.reporting.comparison_layout import lay_out
from mtl.reporting.formats import FORMATS


@pytest.fixture
def study(runs):
    """Two prompts, three weightings, eight seeds; `mgda` lacks seed 3 and `upgrad` has a nan."""
    rng = np.random.default_rng(0)
    for prompt in ("none", "keyword"):
        for seed in range(8):
            start = rng.normal(0.5, 0.05)
            for weighting, gain in (("equal", 0), ("mgda", 0.02), ("upgrad", 0.1)):
                if (weighting, seed) == ("mgda", 3):
                    continue
                news = start + gain + rng.normal(0, 0.01)
                length = math.nan if (weighting, seed) == ("upgrad", 5) else 4 - 10 * gain + rng.normal(0, 0.3)
                runs.add({"news": news, "length": length}, prompt=prompt, weighting=weighting, seed=seed)
    return runs


def scores(frame, task, metric, **tags):
    rows = frame.loc[np.logical_and.reduce([frame[f"tags.mtl.{name}"] == value for name, value in tags.items()])]
    return dict(zip(rows["tags.mtl.seed"].astype(int), rows[f"metrics.test/{task}/{metric}"], strict=True))


def test_every_number_is_that_of_scipy_called_by_hand(study):
    frame = study.frame
    found = compare(frame.sample(frac=1, random_state=0), {"weighting": "equal"})
    assert len(found.lines) == found.family == 2 * 2 * 2
    for line in found.lines:
        task, metric = line.column.key.split("/")[1:]
        ours = scores(frame, task, metric, prompt=line.row[0], weighting=line.row[1])
        theirs = scores(frame, task, metric, prompt=line.row[0], weighting="equal")
        seeds = [s for s in range(8) if s in ours and not math.isnan(ours[s])]
        x, y = np.array([ours[s] for s in seeds]), np.array([theirs[s] for s in seeds])
        assert line.seeds == tuple(seeds)
        assert line.unpaired == tuple(sorted(set(range(8)) - set(seeds)))
        assert (line.mean, line.baseline) == (pytest.approx(x.mean()), pytest.approx(y.mean()))
        assert line.difference == pytest.approx(x.mean() - y.mean())

        def gap(a, b, axis=-1):
            return a.mean(axis=axis) - b.mean(axis=axis)

        test = stats.permutation_test((x, y), gap, permutation_type="samples", n_resamples=np.inf, vectorized=True)
        assert line.permutation == pytest.approx(test.pvalue)
        assert line.wilcoxon == pytest.approx(stats.wilcoxon(x, y).pvalue)
        interval = stats.bootstrap((x, y), gap, paired=True, vectorized=True, n_resamples=9999, random_state=3)
        assert line.interval == pytest.approx(tuple(interval.confidence_interval), rel=0.15, abs=0.01)
        better = x > y if metric == "accuracy" else x < y
        assert line.record == (better.sum(), 0, (~better).sum())
    assert [line.permutation_holm for line in found.lines] == holm([line.permutation for line in found.lines])
    assert [line.wilcoxon_holm for line in found.lines] == holm([line.wilcoxon for line in found.lines])


def test_a_baseline_of_all_keys_is_common_to_all_rows(study):
    found = compare(study.frame, {"prompt": "none", "weighting": "equal"}, metrics=["news"])
    assert [line.row for line in found.lines] == [
        ("none", "mgda"),
        ("none", "upgrad"),
        ("keyword", "equal"),
        ("keyword", "mgda"),
        ("keyword", "upgrad"),
    ]
    expected = np.mean(list(scores(study.frame, "news", "accuracy", prompt="none", weighting="equal").values()))
    assert found.lines[2].baseline == pytest.approx(expected)


def test_friedman_is_over_the_seeds_that_all_rows_have(study):
    frame = study.frame[study.frame["tags.mtl.prompt"] == "none"]
    found = compare(frame, {"weighting": "equal"}, ["weighting"])
    first = found.rankings[0]
    kept = [s for s in range(8) if s != 3]
    by_row = [scores(frame, "news", "accuracy", weighting=name) for (name,) in first.rows]
    values = [[row[s] for s in kept] for row in by_row]
    assert first.over == "news accuracy over 7 seeds"
    assert first.ranks.chi_square == pytest.approx(stats.friedmanchisquare(*values).statistic)
    assert [r.over for r in found.rankings] == [
        "news accuracy over 7 seeds",
        "length rmse over 6 seeds",
        "means of 2 columns",
    ]


def test_too_few_seeds_are_said_and_earn_no_star(runs):
    for seed in range(5):
        for weighting, value in (("equal", 0.1), ("mgda", 0.9)):
            runs.add({"news": value + 0.01 * seed * (1 + value)}, seed=seed, weighting=weighting)
    found = compare(runs.frame, {"weighting": "equal"})
    text = found.render()
    assert found.lines[0].permutation == 2 / 2**5
    assert "5 pairs are too few: no exact two-sided test of them can go under p = 0.0625; 6 are needed for 5%" in text
    assert "*" not in text


def test_six_seeds_are_enough_for_one_test_and_it_is_starred(runs):
    for seed in range(6):
        for weighting, value in (("equal", 0.1), ("mgda", 0.9)):
            runs.add({"news": value + 0.01 * seed * (1 + value)}, seed=seed, weighting=weighting)
    text = compare(runs.frame, {"weighting": "equal"}).render()
    assert "0.0312*" in text
    assert "too few" not in text
    assert "family of all 1 tests" in text


def test_one_pair_has_no_test(runs):
    for weighting in ("equal", "mgda"):
        runs.add({"news": 0.5}, weighting=weighting)
    found = compare(runs.frame, {"weighting": "equal"})
    assert (found.lines[0].record, found.family) == ((0, 1, 0), 0)
    assert "one pair: there is no test" in found.render()


def test_a_seed_that_stands_twice_is_refused_and_the_rest_compared(study):
    study.add({"news": 0.5, "length": 4.0}, prompt="none", weighting="mgda", seed=0)
    found = compare(study.frame, {"weighting": "equal"}, metrics=["news"])
    assert ["seed 0 twice" in line.problem for line in found.lines] == [True, False, False, False]
    assert found.family == 3


def test_a_row_without_its_baseline_says_so(study):
    frame = study.frame
    gone = (frame["tags.mtl.prompt"] == "keyword") & (frame["tags.mtl.weighting"] == "equal")
    found = compare(frame[~gone], {"weighting": "equal"}, metrics=["news"])
    assert [line.problem for line in found.lines] == ["", "", *["baseline: no run of the baseline"] * 2]


def test_delta_m_is_compared_by_seed(grid):
    found = compare(grid.frame, {"weighting": "fixed"}, metrics=["delta_m"])
    assert found.lines[0].seeds == (0, 1, 2)
    # 0.1 of accuracy from 0.5 and 0.1 of error from 4.0
    assert found.lines[0].difference == pytest.approx(100 * (0.1 / 0.5 + 0.1 / 4) / 2)


@pytest.mark.parametrize(
    ("baseline", "by", "metrics", "message"),
    [
        ({"weighting": "eqal"}, None, None, r"no finished run has weighting=eqal. There is: equal, mgda, upgrad"),
        ({"weighting": "equal"}, ["prompt"], None, r"'weighting' is not what the rows are named by \(prompt\)"),
        ({"weigthing": "equal"}, None, None, "Did you mean weighting"),
        ({}, None, None, "name at least one value"),
        ({"weighting": "equal"}, None, ["rank"], "'mean rank' can't be compared"),
        ({"weighting": "equal"}, None, ["newz"], "is not recorded. Did you mean news"),
        ({"switching": "joint"}, ["switching"], None, "every row is the baseline"),
    ],
)
def test_what_is_asked_wrongly_is_answered_with_what_there_is(study, baseline, by, metrics, message):
    with pytest.raises(MtlError, match=message):
        compare(study.frame, baseline, by, metrics)


def test_has_every_format_of_tables(study):
    found = compare(study.frame, {"weighting": "equal"})
    for form in FORMATS:
        assert "upgrad" in found.render(form)
    assert found._repr_html_() == found.render("html")
    lines = list(csv.DictReader(io.StringIO(found.render("csv"))))
    assert [float(line["permutation"]) for line in lines] == [line.permutation for line in found.lines]
    assert lines[0]["unpaired"] == "3"


def test_the_caption_names_pairs_family_and_selection(study):
    caption = lay_out(compare(study.frame, {"weighting": "equal"})).caption
    for said in (
        "each row less the baseline weighting=equal with the same prompt, paired by seed",
        "over the family of all 8 tests of this table",
        "with fewer than 9 pairs none can reach 5%",
        "selection of the model: not recorded",
    ):
        assert said in caption, said


def test_seeds_that_only_the_baseline_lacks_are_named_too(runs):
    for seed in range(4):
        runs.add({"news": 0.5 + 0.1 * seed}, seed=seed, weighting="mgda")
        if seed:
            runs.add({"news": 0.4}, seed=seed, weighting="equal")
    (line,) = compare(runs.frame, {"weighting": "equal"}).lines
    assert (line.seeds, line.unpaired) == ((1, 2, 3), (0,))
    assert line.mean == pytest.approx(0.7)
    assert "left out, without a partner or a number: seed 0" in compare(runs.frame, {"weighting": "equal"}).render()


def test_an_infinite_score_is_no_tie(runs):
    for seed, score in enumerate((math.inf, 4.0, 4.1)):
        runs.add({"length": score}, seed=seed, weighting="equal")
        runs.add({"length": 3.5 + seed}, seed=seed, weighting="mgda")
    (line,) = compare(runs.frame, {"weighting": "equal"}, ["weighting"]).lines
    assert (line.seeds, line.unpaired, line.record) == ((1, 2), (0,), (0, 0, 2))
