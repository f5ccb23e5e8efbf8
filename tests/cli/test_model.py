"""A run's model as MLflow serves it: the same answers as `mtl predict`, by the same weights, stored once."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

pytestmark = pytest.mark.filterwarnings("ignore")
TASKS = "task=[./reviews.yaml,names.yaml]"
TEXTS = ["Anna loves a nice book", "hate", "the sad, sad book: it is 12 awful pages of Bob in Rome"]


@pytest.fixture
def trained(mtl, folder):
    """Id of a run of two tasks in the folder's store."""

    def train(*words):
        done = mtl("train", TASKS, "prompt=keyword", *words)
        assert done.code == 0, done.err
        return done.out.split("run ")[-1].split(")")[0]

    return train


@pytest.fixture
def served(folder):
    """MLflow's own way to load a model of the folder's store."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    yield mlflow.pyfunc.load_model
    mlflow.set_tracking_uri(None)


def test_mlflow_and_mtl_predict_give_the_same_answers(mtl, trained, served, folder):
    run_id = trained()
    pd.DataFrame({"comment": TEXTS}).to_csv("in.csv", index=False)
    done = mtl("predict", run_id, "--input", "in.csv", "--text", "comment", "--output", "out.parquet")
    assert done.code == 0, done.err
    model = served(f"runs:/{run_id}/model")
    given = model.predict(pd.DataFrame({"text": TEXTS}))
    pd.testing.assert_frame_equal(given, pd.read_parquet("out.parquet"), check_exact=True)
    assert list(zip(given.row, given.task, strict=True)) == [(i, t) for i in range(3) for t in ("reviews", "names")]
    said = mtl("predict", run_id, "--json", *TEXTS)
    for row, line in enumerate(map(json.loads, said.out.splitlines())):
        review, names = given[given.row == row].itertuples()
        assert line["reviews"] == {"answer": review.answer, "probability": review.probability}
        assert line["names"]["answer"] == json.loads(names.answer)
        assert line["names"]["probability"] == json.loads(names.probabilities)
        assert line["text"] == review.text == names.text == TEXTS[row]


def test_a_column_names_the_task_that_answers(mtl, trained, served):
    run_id = trained()
    frame = pd.DataFrame({"text": TEXTS, "task": ["names", None, "reviews"]})
    given = served(f"runs:/{run_id}/model").predict(frame)
    assert list(zip(given.row, given.task, strict=True)) == [
        (0, "names"),
        (1, "reviews"),
        (1, "names"),
        (2, "reviews"),
    ]
    frame.to_csv("in.csv", index=False)
    assert mtl("predict", run_id, "--input", "in.csv", "--output", "out.csv").code == 0
    assert pd.read_csv("out.csv").task.tolist() == given.task.tolist()
    with pytest.raises(Exception, match=r"the run has the tasks reviews, names\. Found 'other'"):
        served(f"runs:/{run_id}/model").predict(pd.DataFrame({"text": ["a"], "task": ["other"]}))


def test_a_model_has_a_signature_an_example_of_real_texts_and_one_copy_of_the_weights(trained, served, folder):
    run_id = trained()
    loaded = served(f"runs:/{run_id}/model")
    signature = loaded.metadata.signature
    assert signature.inputs.input_names() == ["text", "task"]
    assert signature.inputs.required_input_names() == ["text"]
    example = loaded.input_example
    reviews, names = pd.read_csv("reviews.csv").comment.tolist(), Path("names.conll").read_text()
    assert example.text[0] in reviews
    assert example.text[1].split()[1] in names
    answers = loaded.predict(example)
    assert answers.columns.tolist() == signature.outputs.input_names()
    weights = [file.parent.name for file in (folder / "mlartifacts").rglob("*") if file.stat().st_size > 50_000]
    assert weights == ["model"]


def test_a_model_needs_neither_the_data_nor_the_folder_of_its_run(mtl, trained, folder, tmp_path_factory):
    run_id = trained()
    before = mtl("predict", run_id, "--json", *TEXTS)
    model = tmp_path_factory.mktemp("elsewhere") / "model"
    shutil.copytree(next((folder / "mlartifacts").rglob("MLmodel")).parent, model)
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    assert mtl("predict", str(model), "--json", *TEXTS) == before


def test_loading_runs_no_code_that_a_checkpoint_brings(mtl, trained, folder):
    class Evil:
        def __reduce__(self):
            return os.mkdir, ("hacked",)

    trained()
    checkpoint = next((folder / "mlartifacts").rglob("last.ckpt"))
    torch.save(torch.load(checkpoint) | {"mtl_more": Evil()}, checkpoint)
    with pytest.raises(Exception, match="weights_only"):
        mtl("predict", str(checkpoint), "text")
    flavor = yaml.safe_load((checkpoint.parent / "MLmodel").read_text())["flavors"]["python_function"]
    assert (flavor["loader_module"], flavor["data"]) == ("mtl.cli.served", "last.ckpt")
    assert not Path("hacked").exists()


def test_a_registered_model_is_found_by_its_name(mtl, trained, served):
    run_id = trained("tracking.model=stars")
    done = mtl("register", run_id[:8], "stars")
    assert (done.code, done.out) == (0, "models:/stars/1\n"), done.err
    named, direct = mtl("predict", "models:/stars/1", "--json", *TEXTS), mtl("predict", run_id, "--json", *TEXTS)
    assert named.out == direct.out
    assert len(served("models:/stars/1").predict(pd.DataFrame({"text": TEXTS}))) == 6
    assert mtl("register", run_id, "others").out == "models:/others/1\n"


def test_what_is_no_model_is_one_line(mtl, trained, folder):
    run_id = trained("tracking.model=false")
    assert f"run {run_id} has no model (status FINISHED)" in mtl("predict", run_id, "text").err
    assert f"run {run_id} has no model (status FINISHED)" in mtl("register", run_id, "stars").err
    assert "there is no model models:/nope/1 in" in mtl("predict", "models:/nope/1", "text").err
    assert "should hold one checkpoint (.ckpt). Found 0" in mtl("predict", str(folder), "text").err
    assert "tracking.model should be true, false or the name" in mtl("train", TASKS, "tracking.model=3").err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,stars\nfine,4\n ,3\n", "a.csv, line 3: field 'text' is empty"),
        ("a.csv", "comment\nfine\n", "text should be one of its columns: comment. Found 'text'"),
        ("a.jsonl", '{"text": "fine"}\n{"tex": 1}\n', "a.jsonl, line 2: field 'text' is missing; there are tex"),
        ("a.jsonl", '{"text": ["a", "b"]}\n', "a.jsonl, line 1: field 'text' should be a text. Found a list of tokens"),
        ("a.txt", "fine\n\nfine\n", "a.txt, line 2: field 'text' is empty"),
        ("a.txt", "", "a.txt holds no texts"),
        ("a.xls", "fine", "the suffix should be .csv"),
    ],
)
def test_a_bad_file_of_texts_is_one_line(mtl, folder, name, content, message):
    Path(name).write_text(content)
    done = mtl("predict", "some", "--input", name)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_where_texts_come_from_and_answers_go_to_is_checked_first(mtl, folder):
    assert (
        "output should end in .csv, .parquet or .jsonl. Found 'a.tex'" in mtl("predict", "x", "--output", "a.tex").err
    )
    assert "not from both. Found 'text'" in mtl("predict", "x", "text", "--input", "a.txt").err
    assert "there is no file a.txt" in mtl("predict", "x", "--input", "a.txt").err


@pytest.mark.slow
def test_the_commands_of_mlflow_and_mtl_write_the_same_answers(mtl, trained, folder):
    run_id = trained()
    pd.DataFrame({"text": TEXTS}).to_csv("in.csv", index=False)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    words = ["models", "predict", "-m", f"runs:/{run_id}/model", "-i", "in.csv", "-t", "csv", "-o", "out.json"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri}
    subprocess.run([sys.executable, "-m", "mlflow", *words, "--env-manager", "local"], check=True, env=environment)
    theirs = pd.DataFrame(json.loads(Path("out.json").read_text())["predictions"])
    assert mtl("predict", run_id, "--input", "in.csv", "--output", "out.parquet").code == 0
    ours = pd.read_parquet("out.parquet")
    assert theirs.astype(object).where(theirs.notna(), None).equals(ours.astype(object).where(ours.notna(), None))
