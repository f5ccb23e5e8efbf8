import importlib.util
import io
import pickle
import shutil
from pathlib import Path

import pandas as pd
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from mlflow import MlflowClient
from omegaconf import OmegaConf
from rich.console import Console

from mtl.cli import build, notes, sweep, train
from mtl.cli import conf as conf_module
from mtl.cli.compose import Composer, freeze
from mtl.cli.conf import conf_dir, options
from mtl.cli.grid import expand
from mtl.cli.live import OUTPUT, live, picture
from mtl.cli.notes import Note
from mtl.cli.space import space
from mtl.tracking.keys import standings
from mtl.tracking.runs import read_runs
from mtl.tracking.store import Store, open_store
from mtl.training.module import MultiTaskModule

TASKS = "task=[./reviews.yaml,names.yaml]"


def runs(folder: Path) -> pd.DataFrame:
    return read_runs(f"sqlite:///{folder / 'mlflow.db'}", "mtl")


@pytest.fixture
def loader(tmp_path):
    """Hydra's loader on a copy of conf/, and the configuration of a sweep."""
    copied = shutil.copytree(conf_dir(), tmp_path / "conf")
    with initialize_config_dir(str(copied), version_base="1.3"):
        found = GlobalHydra.instance().hydra.config_loader
        yield found, found.load_configuration("config", [], RunMode.MULTIRUN), copied


def as_hydra_says(loader, master, words):
    config = loader.load_sweep_config(master, list(words))
    chosen = dict(config.hydra.runtime.choices)
    del config.hydra
    return OmegaConf.to_container(config, resolve=True), {k: str(v) for k, v in chosen.items()}


def test_glob_stands_for_the_options_of_a_group(loader):
    found, master, _ = loader
    freeze(found, master)
    jobs = expand(["seed=1", "weighting=glob(*)"], found)
    assert jobs == [("seed=1", f"weighting={name}") for name in options("weighting")]
    assert expand(["weighting=glob([i*,u*],exclude=imtl*)"], found) == [
        ("weighting=igb",),
        ("weighting=uncertainty",),
        ("weighting=uncertainty_log",),
        ("weighting=upgrad",),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("seed=3", "optimizer.lr=1e-2", "prompt=keyword"),
        ("trunk=transformer", "data.max_length=77"),  # trunk.max_length reads data.max_length
        ("task=[zh_pos]", "tasks.zh_pos.keywords=[a,b]", "data.root=/elsewhere"),
        ("switching=single", "switching.task=zh_pos"),
        ("+extra=1", "seed=2"),
        ("tracking.experiment='a b'", "trainer.threads=null"),
        ("weighting=fixed", "weighting.weights=[0.1,0.9,0.5]"),
        ("head={dropout: 0.5}",),
        ("experiment=demo", "steps=7"),
        ("tracking.uri=${tracking.experiment}",),
    ],
)
def test_the_fast_way_composes_what_hydra_does(loader, words):
    found, master, _ = loader
    expected = as_hydra_says(found, master, words)
    freeze(found, master)
    composer = Composer(found, master)
    composer(["seed=99"])
    assert composer(words) == expected
    assert composer(words) == expected


def test_jobs_that_differ_in_values_only_are_composed_once_by_hydra(loader, monkeypatch):
    found, master, _ = loader
    freeze(found, master)
    composer, calls = Composer(found, master), []
    load = found.load_sweep_config
    monkeypatch.setattr(found, "load_sweep_config", lambda *words: calls.append(words) or load(*words))
    configs = [composer([f"seed={seed}", f"prompt={prompt}"])[0] for prompt in ("none", "keyword") for seed in range(9)]
    assert [config["seed"] for config in configs] == [*range(9), *range(9)]
    assert len(calls) <= 4


def test_a_frozen_loader_reads_no_files_not_even_in_another_process(loader):
    found, master, copied = loader
    words = ["weighting=famo", "optimizer=sgd", "prompt=phrase"]
    before = found.load_sweep_config(master, words)
    freeze(found, master)
    again = pickle.loads(pickle.dumps(found))
    shutil.rmtree(copied / "weighting")
    for path in copied.rglob("*.yaml"):
        path.write_text("broken: true\n")
    for frozen in (found, again):
        assert frozen.load_sweep_config(master, words) == before


LAUNCHERS = [
    pytest.param("basic", id="basic"),
    pytest.param("joblib", marks=pytest.mark.slow),
    pytest.param("submitit_local", marks=pytest.mark.slow),
    pytest.param("ray", marks=pytest.mark.slow),
]
MODULES = {"submitit_local": "submitit", "ray": "ray"}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_sweep_has_parent_children_and_a_config_that_is_read_once(mtl, folder, monkeypatch, launcher):
    if importlib.util.find_spec(MODULES.get(launcher, "hydra")) is None:
        pytest.skip(f"{MODULES[launcher]} is not installed")
    copied = shutil.copytree(conf_dir(), folder / "conf")
    monkeypatch.setattr(conf_module, "conf_dir", lambda: copied)
    monkeypatch.setattr(train, "conf_dir", lambda: copied)
    begin = sweep.Sweep.watch

    def edited(self, total):
        (copied / "weighting" / "equal.yaml").write_text("broken: true\n")
        (folder / "reviews.yaml").write_text("broken: true\n")
        begin(self, total)

    monkeypatch.setattr(sweep.Sweep, "watch", edited)
    chosen = () if launcher == "basic" else (f"hydra/launcher={launcher}",)
    limit = ("hydra.launcher.n_jobs=2",) if launcher == "joblib" else ()
    done = mtl("train", "-m", TASKS, "seed=0,1", *chosen, *limit)
    assert done.code == 0, done.err
    assert "2 jobs: 2 done" in done.out
    found = runs(folder)
    assert (found["status"] == "FINISHED").all()
    (parent,) = set(found["tags.mlflow.parentRunId"])
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    assert client.get_run(parent).info.status == "FINISHED"


def test_a_failed_job_is_trained_again_only_when_asked(mtl, folder, monkeypatch):
    step = MultiTaskModule.training_step

    def broken(self, batch, index):
        if self.payload["config"]["seed"] == 1:
            raise RuntimeError("fell over")
        return step(self, batch, index)

    monkeypatch.setattr(MultiTaskModule, "training_step", broken)
    words = ("train", "-m", TASKS, "seed=0,1")
    with pytest.raises(RuntimeError, match="fell over"):
        mtl(*words)
    monkeypatch.setattr(MultiTaskModule, "training_step", step)
    again = mtl(*words)
    assert again.code == 2
    assert "2 jobs: 1 in the record already, 1 failed before" in again.out
    assert "RuntimeError: fell over (retry=true tries again)" in again.out
    assert "1 of 2 jobs failed in an earlier sweep" in again.err
    assert sorted(runs(folder)["status"]) == ["FAILED", "FINISHED"]
    asked = mtl(*words, "retry=true")
    assert asked.code == 0
    assert sorted(runs(folder)["status"]) == ["FAILED", "FINISHED", "FINISHED"]
    assert "2 in the record already" in mtl(*words).out


def test_the_standing_of_a_key_is_the_same_from_sqlite_and_from_mlflow(folder):
    store = open_store(f"sqlite:///{folder / 'mlflow.db'}", "mtl")
    for key, ends in {"a": ["FAILED"], "b": ["FINISHED", "FAILED"], "c": ["FAILED", "KILLED"], "d": []}.items():
        for end in ends:
            tags = {"mtl.key": key, "mtl.role": "run", "mtl.error": f"{key} {end}"}
            run = store.client.create_run(store.experiment_id, tags=tags)
            store.client.set_terminated(run.info.run_id, end)
    server = Store("http://elsewhere", store.client, store.experiment, store.experiment_id)
    found = standings(store, "abcd")
    assert found == standings(server, "abcd")
    assert found == standings(server, [*"abcd", *(f"other {number}" for number in range(30))])
    assert standings(store, "b").keys() == standings(server, "b").keys() == {"b"}
    assert {key: (s.status, s.error) for key, s in found.items()} == {
        "a": ("FAILED", "a FAILED"),
        "b": ("FINISHED", "b FINISHED"),
        "c": ("KILLED", "c KILLED"),
    }


def test_the_picture_of_a_sweep():
    found = [
        Note("known 0", "a", notes.KNOWN, at=100),
        Note("0", "b", notes.RUNNING, at=100),
        Note("0", "b", notes.DONE, values={"val/score": 0.5, "val/x/loss": 9.0}, at=110),
        Note("1", "c", notes.RUNNING, at=110),
        Note("1", "c", notes.FAILED, "fell over", at=120),
        Note("2", "d", notes.RUNNING, at=120),
        Note("2", "d", notes.RUNNING, "at step 30", {"val/score": 0.75}, at=125),
    ]
    assert picture(found, 6, 100, 130) == [
        "3 of 6 jobs: 1 done, 1 in the record already, 1 failed, 1 running; about 0:00:45 left",
        "best on validation: b, val/score 0.5000",
        "  job 2: d, 10 s, val/score 0.7500 at step 30",
    ]
    assert picture([], None, 0, 1) == ["0 of ? jobs: none yet"]


def test_the_live_summary_shows_why_a_job_failed_and_leaves_the_terminal_clean(tmp_path):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    for job in "01":
        (tmp_path / job).mkdir()
        (tmp_path / job / OUTPUT).touch()
    with live(tmp_path, lambda: 2, console, every=0.01):
        notes.leave(tmp_path, Note("0", "a", notes.RUNNING))
        notes.leave(tmp_path, Note("0", "a", notes.FAILED, "fell over [here]"))
        notes.leave(tmp_path, Note("1", "b", notes.DONE, values={"val/score": 0.25}))
    assert "job 0 failed: a: fell over [here]" in out.getvalue()
    assert "job 1 done: b, val/score 0.2500" in out.getvalue()
    assert out.getvalue().count("job 0 failed") == 1
    assert out.getvalue().rstrip().endswith("\x1b[2K")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nope=1,2", "mtl: nope: there is no option nope"),
        ("optimizer.nope=1,2", "mtl: optimizer.nope: optimizer=adam has no field nope"),
        ("weighting=equal,nope", "mtl: In 'config': Could not find 'weighting/nope'"),
        ("seed=interval(1,2)", "mtl: seed=interval(1,2): an interval has no list of values"),
    ],
)
def test_a_sweep_of_what_is_not_there_leaves_no_run(mtl, folder, word, said):
    done = mtl("train", "-m", TASKS, word)
    assert done.code == 2
    assert done.err.startswith(said)
    assert "sweep" not in done.out
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    assert not client.search_runs([one.experiment_id for one in client.search_experiments()])


def test_an_interval_in_a_plain_sweep_names_the_search(mtl, folder):
    done = mtl("train", "-m", TASKS, "optimizer.lr=interval(0,1)")
    assert done.code == 2
    assert "hydra/sweeper=optuna" in done.err


@pytest.mark.parametrize(
    ("name", "count"), [("demo", 8), ("weightings", 39), ("prompts", 12), ("preferences", 15), ("learning_rate", None)]
)
def test_a_preset_runs_as_many_jobs_as_its_comment_says(name, count):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        found = GlobalHydra.instance().hydra.config_loader
        master = found.load_configuration("config", [f"experiment={name}"], RunMode.MULTIRUN)
        params = [f"{key}={value}" for key, value in master.hydra.sweeper.params.items()]
        if count is None:
            assert set(space([*params])[1]) == {"optimizer.lr", "head.dropout", "batch_size"}
            assert "30 trials" in (conf_dir() / "experiment" / f"{name}.yaml").read_text()
            return
        composer = Composer(found, master)
        names = {str(composer([f"experiment={name}", *job])) for job in expand(params)}
    assert len(names) == count
    said = (conf_dir() / "experiment" / f"{name}.yaml").read_text()
    assert name == "demo" or f"{count} runs" in said


def test_jobs_that_share_what_was_prepared_get_the_numbers_of_jobs_that_do_not(mtl, folder):
    assert mtl("train", "-m", TASKS, "prompt=keyword,none,feature", "seed=0,1").code == 0
    shared = runs(folder).set_index("tags.mlflow.runName")["metrics.test/names/loss"]
    for prompt in ("feature", "none"):
        build._prepared.clear()
        assert mtl("train", TASKS, f"prompt={prompt}", "seed=1", "again=true").code == 0
        assert runs(folder).iloc[0]["metrics.test/names/loss"] == shared[f"{prompt} x equal, seed 1"]
