"""`mtl report` on a small record of real runs."""

import contextlib
import html
import re
import shlex
import shutil
import sqlite3

import pytest
from mlflow import MlflowClient

from mtl.tracking.runs import read_runs
from mtl.tracking.store import tracking_uri

TASKS = "task=[./reviews.yaml,./names.yaml]"
URI = "sqlite:///mlflow.db"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Filled by the first test that asks: a sweep of four runs, one of its own and one that failed."""
    return tmp_path_factory.mktemp("report")


@pytest.fixture
def record(mtl, folder, trained):
    if not (trained / "mlflow.db").exists():
        more = [TASKS, "tracking.experiment=small", "tracking.model=false"]
        assert mtl("train", "-m", *more, "weighting=equal,rlw", "seed=0,1").code == 0
        assert mtl("train", *more, "seed=5").code == 0
        client = MlflowClient(tracking_uri(URI))
        number = client.get_experiment_by_name("small").experiment_id
        tags = {"mtl.role": "run", "mtl.error": "MtlError: it <b>broke</b>"}
        client.set_terminated(client.create_run(number, tags=tags).info.run_id, "FAILED")
        client.create_experiment("bare")
        # a plain copy would miss what still stands in the write-ahead log
        with contextlib.closing(sqlite3.connect("mlflow.db")) as made:
            made.execute("VACUUM INTO ?", (str(trained / "mlflow.db"),))
        return mtl
    shutil.copy(trained / "mlflow.db", folder / "mlflow.db")
    return mtl


def commands(page):
    return [html.unescape(found) for found in re.findall(r'<pre class="command">(.*?)</pre>', page, re.DOTALL)]


def sweep_of(runs):
    return runs["tags.mlflow.parentRunId"].dropna().iloc[0]


def test_the_page_has_all_of_a_real_record(record, folder):
    done = record("report", "small")
    assert (done.code, done.err) == (0, "")
    first, *left_out, last = done.out.splitlines()
    assert first == "5 finished, 1 failed; 4 figures"
    assert [line.partition(": ")[2].partition(":")[0] for line in left_out] == ["ranks", "sweep", "conflict"]
    assert last.startswith("written to report-small.html (")
    page = (folder / "report-small.html").read_text(encoding="utf-8")
    runs = read_runs(URI, "small")
    assert page.count("<img ") == 4
    assert page.count('<details class="run">') == 6
    assert "MtlError: it &lt;b&gt;broke&lt;/b&gt;" in page
    assert runs["tags.mtl.host"].dropna().iloc[0] in page
    assert runs["tags.mtl.git_commit"].dropna().iloc[0][:12] in page
    assert "torch==" in page
    assert "SQLite file mlflow.db" in page
    assert str(folder) not in page.replace(f"<dd>{folder}</dd>", "")  # a task's folder is a setting


def test_its_commands_repeat_what_it_shows(record, folder):
    assert record("report", "small", "--sweep", "last", "--columns", "reviews,delta_m", "--figures", "none").code == 0
    page = (folder / "report-small.html").read_text(encoding="utf-8")
    table, tests, sweep, again, *runs = (shlex.split(command) for command in commands(page))
    assert table[:3] == ["mtl", "table", "small"]
    assert "reviews accuracy" in record(*table[1:]).out
    assert tests[:5] == ["mtl", "compare", "small", "--baseline", "weighting=equal"]
    assert "2 pairs are too few" in record(*tests[1:]).out
    assert "weighting=equal,rlw" in sweep
    assert len(runs) == 4
    own = [word for word in runs[0][2:] if not word.startswith("task=")]
    assert "reviews, names" in page.replace("names, reviews", "reviews, names")
    assert "name the file's path in the place of its name" in html.unescape(page)
    assert record("train", TASKS, *own).code == 0
    new, *_, old = read_runs(URI, "small").query("status == 'FINISHED'").filter(like="params.").to_dict("records")
    differ = {name for name in new if new[name] == new[name] != old[name]}
    assert differ <= {"params.tasks.reviews._base_", "params.tasks.names._base_"}  # another folder of this test
    (folder / "report-small.html").unlink()
    assert record(*again[1:]).code == 0
    assert (folder / "report-small.html").exists()


def test_a_sweep_whose_run_was_deleted_still_has_its_runs_and_command(record, folder):
    parent = sweep_of(read_runs(URI, "small"))
    MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").delete_run(parent)
    assert record("report", "small", "--output", "a/b.html", "--figures", "none").code == 0
    page = (folder / "a" / "b.html").read_text(encoding="utf-8")
    assert f"{parent[:8]}, 4 runs; its own run was deleted in the record" in page
    assert "mtl train -m" in "".join(commands(page))
    done = record("report", "small", "--sweep", parent[:8])
    assert done.code == 2
    assert f"sweep: {parent} was deleted; `mlflow runs restore" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["smal"], "there is no experiment 'smal' in sqlite:"),
        (["bare"], "experiment 'bare' has no training run to report on"),
        (["small", "--figures", "pie"], "figures should be of ranks, sweep, parallel, front, weights, losses or"),
        (["small", "--appendix", "-1"], "appendix should be 0 or more. Found -1"),
        (["small", "--baseline", "equal"], "baseline should be key=value, such as weighting=equal. Found 'equal'"),
        (["small", "--output", "mlflow.db/x.html"], "output: mlflow.db/x.html cannot be written"),
        (["small", "--rows", "wrong"], "rows: 'wrong' is neither a tag nor a parameter of these runs"),
        (["small", "--columns", "wrong"], "columns: 'wrong' is not recorded"),
        (["small", "--baseline", "weighting=x"], "baseline: no finished run has weighting=x. There is: equal, rlw"),
        (["small", "--uri", "sqlite:///none.db"], "there is no record yet"),
    ],
)
def test_a_wrong_word_is_one_line(record, folder, words, message):
    done = record("report", *words)
    assert done.code == 2
    assert done.err.startswith(f"mtl: {message}")
    assert done.err.count("\n") == 1
    assert not list(folder.glob("report-*"))
