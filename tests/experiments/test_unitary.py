"""The study of plain scalarisation: who is chosen, what is tested, held to scipy and to hand calculation."""

import math

import pandas as pd
import pytest
from scipy import stats

from experiments.unitary.problems import EXTRA, PROBLEMS, WEIGHTINGS, Protocol, Setting
from experiments.unitary.run import choose, measure, paired
from mtl.cli.conf import options

SETTINGS = (Setting(0.001, 0.0, 0.0), Setting(0.01, 0.3, 0.2))
TEST = {
    "equal": [0.80, 0.82, 0.81, 0.79, 0.80],
    "mgda": [0.90, 0.93, 0.92, 0.89, 0.91],
    "famo": [0.79, 0.83, 0.80, 0.80, 0.81],
}


def run(weighting, seed, setting, *, val=math.nan, test=0.0):
    return {
        "status": "FINISHED",
        "tags.mtl.weighting": weighting,
        "tags.mtl.seed": str(seed),
        "params.optimizer.lr": str(setting.lr),
        "params.optimizer.weight_decay": str(setting.decay),
        "params.trunk.dropout": str(setting.dropout),
        "metrics.val/score": val,
        "metrics.time/step_ms": 10.0 * seed,
        **{f"tags.mtl.primary.{task}": "accuracy" for task in PROBLEMS["multimnist"].tasks},
        "metrics.test/digit_left/accuracy": test + 0.1,
        "metrics.test/digit_right/accuracy": test - 0.1,
    }


def test_a_setting_is_chosen_by_the_search_seeds_validation_and_by_nothing_else():
    low, high = SETTINGS
    runs = [
        *(run("equal", 0, low, val=0.6, test=0.1), run("equal", 0, high, val=0.5, test=0.9)),
        *(run("mgda", 0, low, val=0.5), run("mgda", 0, high, val=0.7), run("mgda", 3, low, val=0.99)),
        *(run("famo", 0, low, val=0.4), run("famo", 0, high, val=0.4)),
        *(run("gls", 0, low), run("gls", 0, high, val=0.1)),
        run("rlw", 0, Setting(0.5, 0.0, 0.0), val=0.9),
    ]
    assert choose(pd.DataFrame(runs), SETTINGS) == {"equal": low, "mgda": high, "famo": low, "gls": high}


def test_the_paired_test_is_scipys():
    ours, theirs = (dict(enumerate(TEST[name], 1)) for name in ("famo", "equal"))
    difference, width, p = paired(ours, theirs)
    found = stats.ttest_rel(TEST["famo"], TEST["equal"])
    assert p == pytest.approx(found.pvalue)
    interval = found.confidence_interval(0.95)
    assert (difference.mean - width, difference.mean + width) == pytest.approx((interval.low, interval.high))
    assert paired(ours, ours)[1:] == (0.0, 1.0)


def test_a_weighting_is_better_where_holms_p_says_so():
    runs = pd.DataFrame([run(n, s, SETTINGS[0], test=v) for n, of in TEST.items() for s, v in enumerate(of, 1)])
    cells = measure("multimnist", runs, Protocol(weightings=("equal", "famo", "mgda")))
    raw = {name: stats.ttest_rel(TEST[name], TEST["equal"]).pvalue for name in ("mgda", "famo")}
    assert cells["multimnist", "mgda", "p_holm"] == pytest.approx(2 * raw["mgda"])
    assert cells["multimnist", "famo", "p_holm"] == pytest.approx(raw["famo"])
    assert (cells["multimnist", "mgda", "against_equal"], cells["multimnist", "famo", "against_equal"]) == (1, 0)
    assert (cells["multimnist", "all", "better"], cells["multimnist", "all", "worse"]) == (1, 0)
    assert cells["multimnist", "equal", "first"].mean == pytest.approx(0.904)
    assert cells["multimnist", "mgda", "step_ms"].mean == 30
    assert (*("multimnist", "equal"), "minus_equal") not in cells


def test_every_weighting_is_one_that_there_is_and_the_search_is_the_same_for_all():
    assert set(WEIGHTINGS) <= set(options("weighting"))
    assert len(set(WEIGHTINGS)) == len(WEIGHTINGS)
    assert set(EXTRA) <= set(WEIGHTINGS)
    protocol = Protocol()
    assert 0 not in protocol.seeds
    assert len(set(protocol.settings)) == 6
