import subprocess
import sys

import pytest

from mtl.tracking.store import open_store


@pytest.fixture
def recorded(folder):
    """Six seeds of two weightings."""
    store = open_store(f"sqlite:///{folder / 'mlflow.db'}", "study")
    for seed in range(6):
        for weighting, score in (("equal", 0.5), ("mgda", 0.6)):
            tags = {"role": "run", "tasks": "news", "seed": str(seed), "prompt": "none", "weighting": weighting}
            tags |= {"switching": "joint", "primary.news": "accuracy", "direction.news": "max", "selection": "best"}
            run_id = store.client.create_run(
                store.experiment_id, tags={f"mtl.{name}": value for name, value in tags.items()}
            ).info.run_id
            store.client.log_metric(run_id, "test/news/accuracy", score + 0.01 * seed * score)
            store.client.set_terminated(run_id)
    return folder


@pytest.mark.usefixtures("recorded")
def test_prints_the_tests_and_writes_them(mtl, tmp_path):
    done = mtl("compare", "study", "--baseline", "weighting=equal", "--output", str(tmp_path / "tests.tex"))
    assert done.code == 0, done.err
    text = (tmp_path / "tests.tex").read_text()
    assert text == done.out
    assert r"none & mgda & news accuracy (\%) $\uparrow$ & 6 & 61.50 & 51.25" in text
    assert "best on validation" in text


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["study", "--baseline", "equal"], "mtl: baseline should be key=value, such as weighting=equal. Found 'equal'"),
        (["study", "--baseline", "weighting=x"], "There is: equal, mgda"),
        (["studies", "--baseline", "weighting=equal"], "Did you mean study?"),
    ],
)
def test_a_wrong_word_is_one_line(mtl, words, message):
    done = mtl("compare", *words)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.usefixtures("recorded")
def test_the_table_takes_intervals_and_fronts(mtl):
    done = mtl("table", "study", "--spread", "interval", "--pareto", "news,news", "--rows", "weighting")
    assert (done.code, "two different columns" in done.err) == (2, True)
    done = mtl("table", "study", "--spread", "interval", "--columns", "news")
    assert "bootstrap interval" in done.out


@pytest.mark.usefixtures("recorded")
def test_the_same_in_a_notebook():
    import mtl

    runs = mtl.runs("study")
    table = mtl.Table.from_runs(runs, ["weighting"], ["news"])
    assert "61.50" in table._repr_html_()
    assert str(table) == table.render("text")
    assert "study" not in dir(mtl)
    assert {"runs", "Table", "compare"} <= set(dir(mtl))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mtl.nonsense  # noqa: B018


def test_importing_mtl_stays_light():
    code = "import sys, mtl; print(sorted({'pandas', 'numpy', 'mlflow', 'torch', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
