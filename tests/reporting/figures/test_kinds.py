"""What the artists hold, against numbers worked out by hand or by numpy and scipy from the same rows."""

import re

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from scipy import stats

from mtl.errors import MtlError
from mtl.functional.critical_difference import critical_difference
from mtl.reporting.figures import figure


def labelled(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def by_gid(axes, gid):
    return [artist for artist in axes.lines if artist.get_gid() == gid]


def band(axes, place=0):
    """Lower and upper edge of a band at each step."""
    vertices = axes.collections[place].get_paths()[0].vertices
    steps = np.unique(vertices[:, 0])
    edges = [vertices[vertices[:, 0] == step, 1] for step in steps]
    return np.array([[edge.min(), edge.max()] for edge in edges])


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("kind_of_band", ["se", "range"])
def test_weights_are_means_over_seeds_with_the_band_that_the_caption_names(curves, kind_of_band):
    drawing = figure("weights", curves.frame, history=curves.history, band=kind_of_band)
    first, second = drawing.axes
    assert (first.get_title(), second.get_title()) == ("uncertainty", "pcgrad")
    seeds = np.array([[1.0 + seed, 1 + 2 * seed**2] for seed in range(3)])
    line = labelled(first)["length"]
    assert line.get_xdata().tolist() == [4, 8]
    assert line.get_ydata() == pytest.approx(seeds.mean(axis=0))
    error = stats.sem(seeds, axis=0)
    low, high = (
        (seeds.min(0), seeds.max(0)) if kind_of_band == "range" else (line.get_ydata() + s * error for s in (-1, 1))
    )
    assert band(first, 1) == pytest.approx(np.stack([low, high], axis=1))
    words = {"se": "one standard error over seeds", "range": "the range of the seeds"}[kind_of_band]
    assert words in drawing.get_label()
    assert "6 runs: 2 configurations (weighting), seeds 0, 1, 2; lines: mean over 3 seeds" in drawing.get_label()


def test_a_few_lines_in_one_panel_are_named_at_their_ends(curves):
    frame = curves.frame[curves.frame["tags.mtl.weighting"] == "pcgrad"]
    drawing = figure("weights", frame, history=curves.history)
    assert not drawing.legends
    assert texts(drawing.axes[0]) == ["news", "length"]


def test_a_step_that_one_seed_lacks_is_left_out_and_a_nan_stays(record):
    for seed, values in enumerate([[1.0, 2.0, 3.0], [3.0, float("nan")]]):
        run = record.add(0.5, None, seed=seed)
        record.curve(run, "train/news/weight", values)
    (axes,) = figure("weights", record.frame, history=record.history).axes
    (line,) = labelled(axes).values()
    assert line.get_xdata().tolist() == [4, 8]
    assert line.get_ydata() == pytest.approx([2.0, np.nan], nan_ok=True)


def test_losses_have_a_column_for_each_task_and_a_line_for_each_configuration(curves):
    drawing = figure("losses", curves.frame, history=curves.history)
    assert [axes.get_ylabel() for axes in drawing.axes] == ["train loss"] * 2 + ["val loss"] * 2 + [
        "val accuracy",
        "val rmse",
    ]
    line = labelled(drawing.axes[1])["pcgrad"]
    assert line.get_ydata() == pytest.approx([5.0, np.mean(np.exp([0, -1, -2]))])
    assert [text.get_text() for text in drawing.legends[0].get_texts()] == ["uncertainty", "pcgrad"]
    assert len(figure("losses", curves.frame, history=curves.history, metric="loss", tasks=["news"]).axes) == 2


def test_conflict_shows_mean_cosines_and_the_share_of_negative_steps(curves):
    drawing = figure("conflict", curves.frame, history=curves.history)
    axes = drawing.axes[0]
    by_run = [np.mean([-0.5, 0.1]), np.mean([0.3, -0.1]), np.mean([0.2, 0.6])]
    assert axes.get_title() == "pcgrad"
    assert axes.images[0].get_array() == pytest.approx(np.array([[np.mean(by_run)]]))
    assert texts(axes) == ["0.10\n33 %"]
    assert "without gradients, not shown: uncertainty" in drawing.get_label()
    over_time = figure("conflict", curves.frame, history=curves.history, over_time=True).axes[0]
    assert labelled(over_time)["news – length"].get_ydata() == pytest.approx([0.0, 0.2])


def test_conflict_counts_every_seed_alike_however_many_steps_it_recorded(record):
    for seed, cosines in enumerate([[-0.5, 0.1, 0.1], [0.3]]):
        record.curve(record.add(0.5, 2.0, seed=seed), "gradient/news/length/cosine", cosines)
    axes = figure("conflict", record.frame, history=record.history).axes[0]
    assert axes.images[0].get_array() == pytest.approx(np.array([[(-0.1 + 0.3) / 2]]))
    assert texts(axes) == ["0.10\n17 %"]  # a third of the steps of one seed, none of the other's


def test_front_joins_what_no_other_dominates(grid):
    drawing = figure("front", grid.frame)
    (axes,) = drawing.axes
    means = {
        (p, w): (50 + 10 * i + 1 + 5 * (p == "keyword"), 4 + 0.1 * i + 0.01 + 0.05 * (p == "keyword"))
        for p in ("none", "keyword")
        for i, w in enumerate(("fixed", "pcgrad", "mgda"))
    }
    shown = labelled(axes)
    for (prompt, weighting), mean in means.items():
        line = shown[f"{prompt} × {weighting}"]
        assert (line.get_xdata()[0], line.get_ydata()[0]) == pytest.approx(mean)
    # accuracy up and rmse down: both grow together here, so all of them are on the front
    (front,) = by_gid(axes, "front")
    assert front.get_xydata() == pytest.approx(np.array(sorted(means.values())))
    alone = [line.get_xydata().tolist() for line in by_gid(axes, "alone")]
    assert alone == [[[45, 0], [45, 1]]] * 2 + [[[0, 4], [1, 4]]] * 2  # two prompts; one length is of the axes
    x_bar = axes.collections[0].get_segments()[0]
    assert x_bar[:, 0] == pytest.approx([51 - 100 * stats.sem([0, 0.01, 0.02]), 51 + 100 * stats.sem([0, 0.01, 0.02])])


def test_front_draws_a_ray_for_fixed_weights_towards_the_heavier_task(record):
    for place, (news, length) in enumerate([(0.8, 3.0), (0.6, 1.0)]):
        run = record.add(news, length, weighting=f"fixed{place}", **{"params.weighting._target_": "mtl.x.fixed.Fixed"})
        for task, weight in (("news", [0.75, 0.25][place]), ("length", [0.25, 0.75][place])):
            record.curve(run, f"train/{task}/weight", [weight])
    rays = by_gid(figure("front", record.frame).axes[0], "ray")
    # from the worst of both, (60, 3); axes of length 20 and 2; rmse is better below
    ends = np.array([ray.get_xydata() for ray in rays])
    assert ends == pytest.approx(np.array([[[60, 3], [60 + 20 / 3, 1]], [[60, 3], [80, 3 - 2 / 3]]]))


def test_front_draws_the_rays_on_which_preference_times_loss_is_equal(record):
    losses = [{"news": 0.2, "length": 0.9}, {"news": 0.6, "length": 0.4}, {"news": 0.5, "length": 0.5}]
    written = ["[0.75, 0.25]", "{'length': 0.6, 'news': 0.4}", "None"]
    for place, (found, preference) in enumerate(zip(losses, written, strict=True)):
        more = {f"metrics.test/{task}/loss": loss for task, loss in found.items()}
        record.add(0.5, 1.0 + place, weighting=f"epo{place}", **more, **{"params.weighting.preference": preference})
    drawing = figure("front", record.frame, metric="loss")
    (axes,) = drawing.axes
    rays = [ray.get_xydata() for ray in by_gid(axes, "ray")]
    assert texts(axes) == ["0.4 : 0.6", "0.75 : 0.25"]
    assert len(rays) == 2
    for (first, second), ray in zip([(0.4, 0.6), (0.75, 0.25)], rays, strict=True):
        assert ray[0].tolist() == [0, 0]
        assert first * ray[1, 0] == pytest.approx(second * ray[1, 1])
        # as far as the axes go
        assert max(ray[1, 0] / axes.get_xlim()[1], ray[1, 1] / axes.get_ylim()[1]) == pytest.approx(1)
    assert axes.get_xlim()[0] == axes.get_ylim()[0] == 0
    assert axes.get_xlim()[1] > 0.6 * 1.04
    assert "rays: preference times loss is equal for both" in drawing.get_label()


def test_front_joins_the_losses_of_one_model_that_is_told_preferences(record):
    told = {"0.1-0.9": (0.9, 0.3), "0.5-0.5": (0.5, 0.5), "0.9-0.1": (0.2, 1.1)}
    for seed in (0, 1):
        more = {f"metrics.test/{task}/loss": 0.5 + seed for task in ("news", "length")}
        for name, losses in told.items():
            pairs = zip(("news", "length"), losses, strict=True)
            more |= {f"metrics.test/{task}/loss/{name}": loss + seed for task, loss in pairs}
        record.add(0.5, 1.0, seed=seed, weighting="cosmos", **more)
    alike = {f"metrics.test/{task}/loss": 0.6 for task in ("news", "length")}
    record.add(0.5, 1.0, weighting="equal", **alike)
    drawing = figure("front", record.frame, metric="loss")
    (line,) = [line for line in drawing.axes[0].lines if str(line.get_gid()).startswith("told/")]
    assert line.get_xydata() == pytest.approx(np.array([[1.4, 0.8], [1.0, 1.0], [0.7, 1.6]]))
    assert "dotted: one model" in drawing.get_label()
    # between scores nothing of the kind was recorded
    assert "dotted" not in figure("front", record.frame).get_label()


def test_front_joins_no_preferences_of_three_tasks(record):
    """They lie on a triangle: a line through them would show a curve between two tasks that there is not."""
    more = {f"metrics.test/{task}/loss": 0.5 for task in ("news", "length")}
    more |= {f"metrics.test/{task}/loss/{name}": 0.4 for task in ("news", "length") for name in ("1-0-0", "0-1-0")}
    third = {"tags.mtl.tasks": "news,length,pos", "tags.mtl.primary.pos": "f1", "tags.mtl.direction.pos": "max"}
    record.add(0.5, 1.0, weighting="cosmos", **more, **third, **{"metrics.test/pos/f1": 0.5})
    drawing = figure("front", record.frame, metric="loss", tasks=["news", "length"])
    (line,) = [line for line in drawing.axes[0].lines if str(line.get_gid()).startswith("told/")]
    assert line.get_linestyle() == "None"
    assert len(line.get_xydata()) == 2
    assert "small: one model, told other preferences" in drawing.get_label()


def test_front_draws_the_rays_of_preferences_between_scores_as_those_of_fixed_weights(record):
    for news, length, preference in ((0.8, 3.0, "[0.75, 0.25]"), (0.6, 1.0, "[0.25, 0.75]")):
        record.add(news, length, weighting=f"epo{news}", **{"params.weighting.preference": preference})
    ends = np.array([ray.get_xydata() for ray in by_gid(figure("front", record.frame).axes[0], "ray")])
    assert ends == pytest.approx(np.array([[[60, 3], [60 + 20 / 3, 1]], [[60, 3], [80, 3 - 2 / 3]]]))


def test_ranks_stand_where_demsar_puts_them(record):
    scores = {"a": [0.9, 0.8, 0.9], "b": [0.7, 0.9, 0.7], "c": [0.5, 0.5, 0.5], "d": [0.1, 0.1, 0.5]}
    for weighting, values in scores.items():
        for seed, value in enumerate(values):
            record.add(value, None, seed=seed, weighting=weighting)
    drawing = figure("ranks", record.frame, alpha=0.1)
    (axes,) = drawing.axes
    by_block = np.array([stats.rankdata([-values[seed] for values in scores.values()]) for seed in range(3)])
    for weighting, rank in zip(scores, by_block.mean(axis=0), strict=True):
        (line,) = by_gid(axes, f"rank/{weighting}")
        assert line.get_xdata()[0] == pytest.approx(rank)
    (bar,) = by_gid(axes, "cd")
    difference = critical_difference(4, 3, 0.1)
    assert abs(np.diff(bar.get_xdata())[0]) == pytest.approx(difference)
    # a 4/3, b 5/3, c 19/6, d 23/6; 2.291 sqrt(20 / 18) = 2.41 holds a to c and b to d together, not a and d
    bars = np.array([line.get_xdata() for line in by_gid(axes, "clique")])
    assert bars == pytest.approx(np.array([[4 / 3, 19 / 6], [5 / 3, 23 / 6]]))
    p = stats.friedmanchisquare(*scores.values()).pvalue
    assert f"Friedman p = {p:.2g}" in drawing.get_label()
    assert "4 configurations (weighting) in 3 blocks: seeds 0, 1, 2 × news accuracy" in drawing.get_label()


def test_sweep_writes_mean_and_error_and_hatches_what_is_missing(grid):
    frame = grid.frame
    frame = frame[~((frame["tags.mtl.prompt"] == "keyword") & (frame["tags.mtl.weighting"] == "mgda"))]
    drawing = figure("sweep", frame)
    axes = drawing.axes[0]
    expected = np.array([[51, 61, 71], [56, 66, np.nan]])
    assert np.asarray(axes.images[0].get_array().filled(np.nan)) == pytest.approx(expected, nan_ok=True)
    assert texts(axes)[0] == f"51.00 ± {100 * stats.sem([0.5, 0.51, 0.52]):.2f}"
    hatched = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_hatch()]
    assert [patch.get_xy() for patch in hatched] == [(1.5, 0.5)]
    assert "3 seeds a cell; hatched" in drawing.get_label()


def test_parallel_has_a_line_for_each_configuration_at_its_scores(grid):
    drawing = figure("parallel", grid.frame[grid.frame["tags.mtl.switching"] == "joint"])
    (axes,) = drawing.axes
    (best,) = by_gid(axes, "keyword × mgda")
    (worst,) = by_gid(axes, "none × fixed")
    assert best.get_ydata()[2:] == pytest.approx([1, 0])  # accuracy best, rmse worst: better is up
    assert worst.get_ydata()[2:] == pytest.approx([0, 1])
    (middle,) = by_gid(axes, "keyword × fixed")
    assert middle.get_ydata()[2:] == pytest.approx([0.05 / 0.25, 1 - 0.05 / 0.25])
    assert {"76", "51", "4.01", "4.26"} <= set(texts(axes))
    assert "coloured by length rmse" in drawing.get_label()
    assert "coloured by news accuracy" in figure("parallel", grid.frame, metric="news/accuracy").get_label()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("pie", {}, "no figure 'pie'. Kinds: conflict, front, losses, parallel, ranks, sweep or weights"),
        ("sweep", {"band": "sd"}, "band should be se or range. Found 'sd'"),
        ("sweep", {"width": "wide"}, "width should be column or page. Found 'wide'"),
        ("ranks", {"alpha": 2.0}, "alpha should be between 0 and 1. Found 2.0"),
        ("weights", {"tasks": ["new"]}, "task: no run trains 'new'. Tasks: news, length"),
        ("weights", {}, "weights: no run recorded train/news/weight or train/length/weight"),
        ("losses", {"metric": "f1"}, "metric: val/news/f1 is not recorded. There is: "),
        ("sweep", {"metric": "f1"}, "'test/news/f1' is not recorded"),
        ("conflict", {}, "conflict needs steps of two .*tracking.gradients_every=N.*have: fixed, mgda, pcgrad"),
        ("ranks", {"by": ["prompt"]}, "by: none: seed 0 .*name what tells them apart in --by"),
        ("ranks", {"tasks": ["news"], "by": ["nope"]}, "'nope' is neither a tag nor a parameter"),
        ("sweep", {"by": ["prompt"]}, "sweep: name two keys in --by. Found prompt"),
    ],
)
def test_says_in_one_line_what_is_wrong(grid, kind, options, message):
    with pytest.raises(MtlError, match=message):
        figure(kind, grid.frame, history=grid.history, **options)


def test_too_few_configurations_for_ranks(curves):
    with pytest.raises(MtlError, match=r"ranks needs at least 3 configurations. Found 2 \(weighting\)"):
        figure("ranks", curves.frame)


def test_only_finished_runs_count_and_the_others_are_named(curves):
    frame = curves.frame
    frame.loc[0, "status"] = "FAILED"
    drawing = figure("weights", frame, history=curves.history)
    assert drawing.get_label().endswith("Left out: 1 failed.")
    with pytest.raises(MtlError, match=r"there is no finished run to show \(6 failed\)"):
        figure("weights", frame.assign(status="FAILED"), history=curves.history)


@pytest.mark.parametrize("kind", ["weights", "losses", "conflict", "ranks", "parallel"])
def test_runs_of_another_schema_are_named_and_left_out(curves, kind):
    for seed in range(3):
        curves.add(0.7, 1.5, seed=seed, weighting="mgda")
    names = [curves.add(0.9, 0.1, seed=seed) for seed in (7, 8, 9)]
    frame = curves.frame.set_index("run_id", drop=False)
    frame.loc[names[0], "tags.mtl.seed"] = None
    frame.loc[names[1], "tags.mtl.primary.length"] = None
    frame.loc[names[2], "tags.mtl.tasks"] = None
    drawing = figure(kind, frame.reset_index(drop=True), history=curves.history)
    said = f"3 without the tags that this version of mtl writes ({', '.join(names)})"
    assert drawing.get_label().endswith(f"Left out: {said}.")
    with pytest.raises(MtlError, match=rf"^there is no finished run to show \({re.escape(said)}\)$"):
        figure(kind, frame.loc[names].reset_index(drop=True), history=curves.history)


def test_says_how_to_install_matplotlib(grid, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.startswith(("mtl.reporting.figures.style", "matplotlib"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MtlError, match=r"figures need matplotlib: pip install 'mtl\[figures\]'"):
        figure("ranks", grid.frame)
