import math

import numpy as np
import pytest
from scipy import stats

from mtl.errors import MtlError
from mtl.reporting.cells import summarise
from mtl.reporting.footnotes import footnotes


def cell(table, row, column):
    """The cell by its names."""
    return table.cells[table.rows.index(row)][[c.key for c in table.columns].index(column)]


def notes(table):
    return [note.text for note in footnotes(table)]


def test_shows_mean_and_standard_error_over_seeds(grid):
    table = summarise(grid.frame)
    found = cell(table, ("keyword", "pcgrad"), "test/news/accuracy")
    values = [0.65, 0.66, 0.67]
    assert found.mean == pytest.approx(np.mean(values))
    assert found.error == pytest.approx(stats.sem(values))
    assert (found.n, found.seeds, found.problem, found.notes) == (3, (0, 1, 2), "", ())


def test_has_a_column_for_every_task_then_delta_m_and_rank(grid):
    assert [c.key for c in summarise(grid.frame).columns] == [
        "test/news/accuracy",
        "test/length/rmse",
        "delta_m",
        "rank",
    ]


def test_rows_stand_in_the_order_in_which_their_values_first_appeared(grid):
    shuffled = grid.frame.sample(frac=1, random_state=0)
    rows = (("none", "fixed"), ("none", "pcgrad"), ("keyword", "fixed"), ("keyword", "pcgrad"))
    assert summarise(shuffled).rows == rows


def test_recomputes_delta_m_from_the_runs_of_the_same_seed(runs):
    for seed, (alone, together) in enumerate([(0.5, 0.6), (0.8, 0.6)]):
        runs.alone("news", alone, seed=seed)
        runs.alone("length", 4.0, seed=seed)
        runs.add({"news": together, "length": 3.0}, seed=seed)
    frame = runs.frame.assign(**{"metrics.test/delta_m": 99.0})
    found = cell(summarise(frame), ("none", "fixed"), "delta_m")
    by_hand = [100 * (0.1 / 0.5 + 1 / 4) / 2, 100 * (-0.2 / 0.8 + 1 / 4) / 2]
    assert found.mean == pytest.approx(np.mean(by_hand))
    assert found.error == pytest.approx(stats.sem(by_hand))


def test_delta_m_says_how_to_get_a_missing_baseline(grid):
    frame = grid.frame
    missing = (frame["tags.mtl.prompt"] == "keyword") & (frame["tags.mtl.tasks"] == "news")
    table = summarise(frame[~missing])
    assert cell(table, ("keyword", "fixed"), "delta_m").mean is None
    assert cell(table, ("none", "fixed"), "delta_m").n == 3
    (note,) = notes(table)
    assert note.startswith("Δm, keyword × fixed and keyword × pcgrad: no single-task run of news with seeds 0, 1, 2:")
    assert "mtl train -m switching=single switching.task=news prompt=keyword seed=0,1,2" in note


def test_a_baseline_missing_for_one_seed_leaves_the_others(grid):
    frame = grid.frame
    table = summarise(frame[frame["run_id"] != "run0"])
    found = cell(table, ("none", "fixed"), "delta_m")
    assert found.seeds == (1, 2)
    assert "no single-task run of news with seed 0:" in notes(table)[0]
    assert "missing" not in notes(table)[0]


def test_delta_m_refuses_two_baselines(grid):
    again = grid.alone("news", 0.7, seed=1)
    found = cell(summarise(grid.frame), ("none", "fixed"), "delta_m")
    assert (found.mean, found.problem) == (None, "baseline twice")
    assert again in found.notes[0]


def test_delta_m_of_a_baseline_of_zero_is_not_shown(runs):
    runs.alone("news", 0.0)
    runs.add({"news": 0.5})
    found = cell(summarise(runs.frame), ("none", "fixed"), "delta_m")
    assert found.mean is None
    assert "scores 0" in found.notes[0]


def test_baselines_may_come_from_elsewhere(grid):
    frame = grid.frame
    single = frame["tags.mtl.switching"] == "single"
    assert cell(summarise(frame[~single], baselines=frame), ("none", "fixed"), "delta_m").n == 3


def test_failed_baselines_do_not_count(runs):
    runs.alone("news", 0.5, status="FAILED")
    runs.alone("news", 0.4)
    runs.add({"news": 0.5})
    assert cell(summarise(runs.frame), ("none", "fixed"), "delta_m").mean == pytest.approx(25)


def test_ranks_by_the_metric_s_direction(grid):
    table = summarise(grid.frame)
    assert [row[-1].mean for row in table.cells] == [4, 2, 3, 1]
    assert (table.pool, table.ranked) == (4, 2)


def test_a_row_without_every_number_is_not_ranked(grid):
    grid.add({"news": 0.9}, weighting="mgda")
    grid.add({"news": math.nan, "length": 1.0}, weighting="famo")
    table = summarise(grid.frame)
    assert [row[-1].mean for row in table.cells] == [4, 2, None, None, 3, 1]
    assert table.pool == 4


def test_baselines_are_rows_only_where_asked_for_and_are_never_ranked(grid):
    assert ("single",) not in summarise(grid.frame.query("`tags.mtl.prompt` == 'none'"), ["weighting"]).rows
    frame = grid.frame
    frame = frame[(frame["tags.mtl.prompt"] == "none") & (frame["tags.mtl.weighting"] == "fixed")]
    table = summarise(frame, ["switching"])
    assert table.rows == (("single",), ("joint",))
    assert cell(table, ("single",), "test/news/accuracy").n == 3
    assert cell(table, ("single",), "delta_m").mean is None
    assert cell(table, ("single",), "rank").mean is None
    assert not notes(table)


def test_a_missing_seed_is_said_where_it_is_missing(grid):
    frame = grid.frame
    row = (frame["tags.mtl.prompt"] == "keyword") & (frame["tags.mtl.weighting"] == "fixed")
    row &= frame["tags.mtl.switching"] == "joint"
    table = summarise(frame[~(row & (frame["tags.mtl.seed"] == "2"))])
    assert cell(table, ("keyword", "fixed"), "test/news/accuracy").mean == pytest.approx(0.555)
    assert notes(table) == ["keyword × fixed: seed 2 is missing"]
    table = summarise(frame[~(row & (frame["tags.mtl.seed"] != "1"))], columns=["news", "rank"])
    assert notes(table) == ["news accuracy, keyword × fixed: seeds 0, 2 are missing"]


def test_a_seed_that_stands_twice_shows_no_number(runs):
    for lr in (0.1, 0.01):
        runs.add({"news": 0.5}, optimizer__lr=lr, steps=100)
    table = summarise(runs.frame)
    found = cell(table, ("none", "fixed"), "test/news/accuracy")
    assert (found.mean, found.error, found.problem) == (None, None, "seed 0 twice")
    assert found.notes == ("seed 0 twice (runs run0, run1; they differ in optimizer.lr, which is not among the rows)",)
    by_rate = summarise(runs.frame, ["weighting", "optimizer.lr"])
    assert by_rate.rows == (("fixed", "0.1"), ("fixed", "0.01"))
    assert not [c for row in by_rate.cells for c in row if c.problem]


def test_one_seed_has_no_standard_error(runs):
    runs.add({"news": 0.5})
    found = cell(summarise(runs.frame), ("none", "fixed"), "test/news/accuracy")
    assert (found.mean, found.error, found.n) == (0.5, None, 1)


def test_a_nan_makes_the_mean_nan_and_names_the_seed(runs):
    for seed, value in enumerate([0.5, math.nan, 0.6]):
        runs.add({"news": value}, seed=seed)
    table = summarise(runs.frame, columns=["news"])
    found = cell(table, ("none", "fixed"), "test/news/accuracy")
    assert math.isnan(found.mean)
    assert found.error is None
    assert notes(table) == ["news accuracy: seed 1: nan or not recorded"]


def test_only_finished_runs_count_and_the_others_are_told(runs):
    runs.add({"news": 0.5})
    runs.add({"news": 0.1}, status="FAILED")
    runs.add({"news": 0.1}, status="RUNNING", seed=5)
    table = summarise(runs.frame)
    assert cell(table, ("none", "fixed"), "test/news/accuracy").mean == 0.5
    assert table.seeds == (0,)
    assert table.left_out == "1 failed, 1 running"


def test_seeds_may_be_rows(grid):
    table = summarise(grid.frame, ["prompt", "weighting", "seed"])
    assert len(table.rows) == 12
    assert not notes(table)


@pytest.mark.parametrize(
    ("name", "key", "direction"),
    [
        ("news", "test/news/accuracy", "max"),
        ("news/accuracy", "test/news/accuracy", "max"),
        ("test/length/rmse", "test/length/rmse", "min"),
        ("val/news/loss", "val/news/loss", "min"),
        ("delta_m", "delta_m", "max"),
        ("test/delta_m", "delta_m", "max"),
        ("time/step_ms", "time/step_ms", None),
    ],
)
def test_a_column_may_be_named_in_short(grid, name, key, direction):
    frame = grid.frame.assign(**{"metrics.time/step_ms": 3.0, "metrics.test/delta_m": 1.0})
    (column,) = summarise(frame, columns=[name]).columns
    assert (column.key, column.direction) == (key, direction)


def test_ranks_over_the_tasks_where_no_metric_is_among_the_columns(grid):
    table = summarise(grid.frame, columns=["delta_m", "rank"])
    assert [row[1].mean for row in table.cells] == [4, 2, 3, 1]


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (["lr"], None, r"'lr' is neither a tag nor a parameter of these runs. Did you mean optimizer.lr\?"),
        (["weigthing"], None, "Did you mean weighting or switching"),
        ([], None, "name at least one"),
        (["qqq"], None, "There is: prompt, weighting"),
        (["weighting"], ["news/acuracy"], r"'news/acuracy' is not recorded. Did you mean news/accuracy"),
        (["weighting"], ["qqq"], "There is: delta_m"),
    ],
)
def test_an_unknown_name_is_answered_with_the_near_ones(runs, rows, columns, message):
    runs.add({"news": 0.5}, optimizer__lr=0.1)
    with pytest.raises(MtlError, match=message):
        summarise(runs.frame, rows, columns)


def test_says_why_there_is_nothing_to_show(runs):
    runs.add({"news": 0.5}, status="FAILED")
    with pytest.raises(MtlError, match=r"no finished run to show \(1 failed\)"):
        summarise(runs.frame)
    runs.alone("news", 0.5)
    with pytest.raises(MtlError, match="the single-task runs are rows where"):
        summarise(runs.frame)
    with pytest.raises(MtlError, match="no finished run"):
        summarise(runs.frame[:0])


@pytest.mark.parametrize(("values", "mean"), [((math.inf, 0.5), math.inf), ((math.inf, -math.inf), math.nan)])
def test_a_run_that_diverged_makes_its_mean_infinite_and_leaves_no_error(runs, values, mean):
    for seed, value in enumerate(values):
        runs.add({"news": value}, seed=seed)
    cell = summarise(runs.frame, ["weighting"]).cells[0][0]
    assert cell.mean == pytest.approx(mean, nan_ok=True)
    assert cell.error is None
