import shlex
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mtl.cli.sweep_note import sweep_name, swept

TASKS = "task=[./reviews.yaml,names.yaml]"


def test_what_is_swept_is_what_has_several_values():
    words = ["task=[a,b]", "prompt=none,keyword", "+x={a: 1, b: 2}", "steps=9", "optimizer.lr=range(1,4)", "seed=0,1"]
    assert swept(words) == ["prompt", "optimizer.lr", "seed"]
    assert swept(["task=[a,b],[a]", "weighting.weights=[0.2,0.8],[0.5,0.5]"]) == ["task", "weighting.weights"]
    assert sweep_name(words) == "sweep of prompt x optimizer.lr x seed"


@pytest.mark.filterwarnings("ignore")
def test_the_page_of_a_sweep_shows_its_command_and_its_table(mtl, folder):
    assert mtl("train", TASKS, "weighting=rlw").code == 0
    done = mtl("train", "-m", TASKS, "weighting=equal,uncertainty", "seed=0,1")
    assert done.code == 0, done.err
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mtl")
    runs = client.search_runs([experiment.experiment_id])
    (sweep,) = [run for run in runs if run.data.tags["mtl.role"] == "sweep"]
    assert sweep.info.run_name == "sweep of weighting x seed"
    note = sweep.data.tags["mlflow.note.content"]
    assert note.splitlines()[-1].startswith("Its runs: `mtl train -m 'task=[")
    table = mtl("table", "mtl", "--sweep", "last", "--rows", "weighting", "--format", "markdown").out.strip()
    assert note.startswith(table)
    assert [line for line in note.splitlines() if line.startswith("| uncertainty")]
    assert "rlw" not in note
    children = [run for run in runs if run is not sweep]
    assert {run.data.tags["mlflow.source.name"] for run in children} == {"mtl train"}
    assert Path(folder / "multirun").exists()


@pytest.mark.filterwarnings("ignore")
def test_a_sweep_without_a_finished_run_says_so_on_its_page(mtl, folder):
    mtl("train", "-m", TASKS, "weighting.lead=7", "weighting=fixed", "seed=0,1")
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (sweep,) = client.search_runs([client.get_experiment_by_name("mtl").experiment_id])
    assert "No table: " in sweep.data.tags["mlflow.note.content"]


@pytest.mark.filterwarnings("ignore")
def test_the_recorded_commands_repeat_what_ran(mtl, folder):
    words = [TASKS, "weighting=fixed", "weighting.weights={reviews: 0.3, names: 0.7}"]
    assert mtl("train", "-m", "hydra.sweeper.max_batch_size=1", *words, "seed=0,1").code == 0
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("mtl").experiment_id])
    recorded = {run.data.tags["mtl.role"]: run.data.tags["mtl.overrides"] for run in runs}
    assert shlex.split(recorded["sweep"])[:4] == [
        "hydra.sweeper.max_batch_size=1",
        "task=[reviews,names]",
        "weighting=fixed",
        "weighting.weights={reviews: 0.3, names: 0.7}",
    ]
    job = [word for word in shlex.split(recorded["run"]) if not word.startswith("task=")]
    assert "in the record already" in mtl("train", TASKS, *job).out
