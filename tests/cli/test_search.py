import math
from pathlib import Path

import optuna
import pandas as pd
import pytest
from mlflow import MlflowClient
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from mtl.cli import trials as studies
from mtl.cli.space import corners, space
from mtl.errors import MtlError
from mtl.tracking.runs import read_runs
from mtl.training.module import MultiTaskModule

TASKS = "task=[./reviews.yaml,names.yaml]"
SEARCH = ("train", "-m", "hydra/sweeper=optuna", TASKS)
LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


def runs(folder: Path) -> pd.DataFrame:
    return read_runs(f"sqlite:///{folder / 'mlflow.db'}", "mtl")


def the_study(folder: Path) -> optuna.Study:
    kept = studies.storage(str(folder / "multirun" / "search.journal"))
    (found,) = kept.get_all_studies()
    return optuna.load_study(study_name=found.study_name, storage=kept)


def test_hydra_s_grammar_becomes_distributions():
    fixed, found = space(
        [
            "steps=3",
            "a=1,2",
            "b=interval(0,2)",
            "c=int(interval(1,9))",
            "d=range(1,9,2)",
            "e=tag(log,interval(1e-3,1))",
            "f=choice(x,[1,2])",
        ]
    )
    assert fixed == ["steps=3"]
    assert found == {
        "a": CategoricalDistribution(["1", "2"]),
        "b": FloatDistribution(0, 2),
        "c": IntDistribution(1, 9),
        "d": IntDistribution(1, 7, step=2),
        "e": FloatDistribution(1e-3, 1, log=True),
        "f": CategoricalDistribution(["x", "[1,2]"]),
    }
    assert {"a": "2", "b": 2.0, "c": 9, "d": 7, "e": 1.0, "f": "[1,2]"} in corners(found)


def test_a_search_ends_with_the_best_on_validation_and_its_command(mtl, folder):
    done = mtl(*SEARCH, "optimizer.lr=0.00001,0.0001,0.01", "hydra.sweeper.sampler=grid", "steps=24")
    assert done.code == 0, done.err
    assert "3 jobs: 3 done" in done.out
    found = runs(folder)
    assert found["metrics.val/score"].nunique() > 1
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (parent,) = set(found["tags.mlflow.parentRunId"])
    best = found[found["run_id"] == client.get_run(parent).data.tags["mtl.best_run"]].iloc[0]
    assert best["metrics.val/score"] == found["metrics.val/score"].max()
    assert f"val/score {best['metrics.val/score']:.4f}" in done.out
    assert f"optimizer.lr={best['params.optimizer.lr']}" in done.out
    assert "test/" not in done.out.partition("best on validation")[2]
    trials = the_study(folder).trials
    assert sorted(t.value for t in trials) == pytest.approx(sorted(found["metrics.val/score"]))
    assert {file.path for file in client.list_artifacts(parent)} >= {"trials.csv", "best.txt"}


def test_an_interrupted_search_goes_on_and_tries_what_an_uninterrupted_one_would(mtl, folder, monkeypatch):
    words = (LR, "weighting=equal,uncertainty", "hydra.sweeper.n_trials=4", "hydra.sweeper.sampler=random")
    assert mtl(*SEARCH, *words, "tracking.experiment=whole", "hydra.sweeper.storage=whole.journal").code == 0
    whole = read_runs(f"sqlite:///{folder / 'mlflow.db'}", "whole")
    step, seen = MultiTaskModule.training_step, []

    def cut_off(self, batch, index):
        seen.append(index)
        if len(seen) == 30:  # in the third trial of twelve steps
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(MultiTaskModule, "training_step", cut_off)
    assert mtl(*SEARCH, *words).code == 130
    assert [t.state.name for t in the_study(folder).trials] == ["COMPLETE", "COMPLETE", "RUNNING"]
    done = mtl(*SEARCH, *words)
    assert done.code == 0, done.err
    assert "goes on: 2 of 4 trials are done" in done.out
    assert sorted(runs(folder)["params.optimizer.lr"]) == sorted(whole["params.optimizer.lr"])
    assert len(runs(folder)) == 4
    assert (runs(folder)["status"] == "FINISHED").all()
    again = mtl(*SEARCH, *words)
    assert again.code == 0
    assert len(runs(folder)) == 4


def test_the_objectives_may_be_the_tasks_and_the_front_is_shown(mtl, folder):
    done = mtl(*SEARCH, LR, "hydra.sweeper.n_trials=3", "hydra.sweeper.objectives=tasks")
    assert done.code == 0, done.err
    scores = runs(folder)[["metrics.val/reviews/accuracy", "metrics.val/names/f1"]].to_numpy().tolist()
    front = [p for p in scores if not any(q != p and all(b >= a for a, b in zip(p, q, strict=True)) for q in scores)]
    assert f"the front on validation: {len(front)} of 3 trials" in done.out


def test_losses_are_minimised(mtl, folder):
    done = mtl(*SEARCH, LR, "hydra.sweeper.n_trials=3", "hydra.sweeper.objectives=[val/names/loss]")
    assert done.code == 0, done.err
    assert f"val/names/loss {runs(folder)['metrics.val/names/loss'].min():.4f}" in done.out


def test_a_pruned_run_is_killed_and_not_failed_and_may_be_gone_on_with(mtl, folder, monkeypatch):
    monkeypatch.setattr(
        optuna.pruners.MedianPruner, "prune", lambda self, study, trial: trial.number == 1 and trial.last_step == 8
    )
    words = (LR, "hydra.sweeper.n_trials=2", "hydra.sweeper.pruner=median", "eval_every=4", "checkpoint_every=4")
    done = mtl(*SEARCH, *words)
    assert done.code == 0, done.err
    assert "2 jobs: 1 done, 1 pruned" in done.out
    found = runs(folder)
    assert sorted(found["status"]) == ["FINISHED", "KILLED"]
    (pruned,) = found[found["status"] == "KILLED"].to_dict("records")
    assert "given up at step 8" in pruned["tags.mtl.error"]
    assert [t.state.name for t in the_study(folder).trials] == ["COMPLETE", "PRUNED"]
    assert set(the_study(folder).trials[1].intermediate_values) == {4, 8}
    lone = mtl("train", TASKS, f"optimizer.lr={pruned['params.optimizer.lr']}", "eval_every=4", "checkpoint_every=4")
    assert "going on from step 4 of 12" in lone.err  # the checkpoint at 8 comes after the validation that ended it
    assert (runs(folder)["status"] == "FINISHED").all()


def test_a_failed_trial_is_tried_again_when_asked(mtl, folder, monkeypatch):
    step = MultiTaskModule.training_step

    def broken(*_):
        raise RuntimeError("fell over")

    monkeypatch.setattr(MultiTaskModule, "training_step", broken)
    words = ("weighting=equal,famo", "hydra.sweeper.n_trials=2", "hydra.sweeper.sampler=grid")
    assert mtl(*SEARCH, *words).code != 0
    monkeypatch.setattr(MultiTaskModule, "training_step", step)
    mtl(*SEARCH, *words)
    assert (runs(folder)["status"] == "FAILED").all()
    assert mtl(*SEARCH, *words, "retry=true").code == 0
    assert sorted(runs(folder)["status"]) == ["FAILED", "FAILED", "FINISHED", "FINISHED"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((LR, "hydra.sweeper.sampler=nope"), "sampler should be tpe, random or grid. Found 'nope'"),
        ((LR, "hydra.sweeper.pruner=nope"), "pruner should be none, median or halving. Found 'nope'"),
        ((LR, "hydra.sweeper.objectives=[val/nope]"), "objectives should be tasks, or some of val/score"),
        ((LR, "hydra.sweeper.objectives=tasks", "hydra.sweeper.pruner=median"), "goes by one objective"),
        ((LR, "hydra.sweeper.n_trials=0"), "n_trials should be a whole number of at least 1. Found 0"),
        ((LR, "hydra.sweeper.sampler=grid"), "sampler=grid needs lists of values"),
        (("weighting=interval(0,1)",), "weighting holds a group of options"),
        (("selection=interval(0,1)",), "selection holds 'last'"),
        (("batch_size=interval(4,16)",), "a search of whole numbers is int(interval(a,b))"),
        (("seed=0",), "needs something to search"),
        (("optimizer.lr=interval(2,1)",), "the interval is empty"),
        (("optimizer.lr=tag(log,interval(0,1))",), "`low > 0` must hold"),
        (("weighting=equal,nope",), "nope"),
    ],
)
def test_a_wrong_search_is_one_line_before_anything_is_trained(mtl, folder, words, message):
    done = mtl(*SEARCH, *words)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    assert not client.search_runs([one.experiment_id for one in client.search_experiments()])


def test_a_study_of_another_space_is_not_mixed(mtl, folder):
    named = ("hydra.sweeper.n_trials=1", "hydra.sweeper.study=mine")
    assert mtl(*SEARCH, LR, *named).code == 0
    done = mtl(*SEARCH, "optimizer.lr=interval(0.1,0.2)", *named)
    assert done.code == 2
    assert "study 'mine' is another search: its space was" in done.err
    assert len(runs(folder)) == 1


def test_samplers_do_not_depend_on_interruptions():
    make = studies.sampler("random", 3, {"x": FloatDistribution(0, 1)}, 1)

    def tried(parts):
        study = optuna.create_study()
        for count in parts:
            make_again = studies.sampler("random", 3, {"x": FloatDistribution(0, 1)}, 1)
            for _ in range(count):
                study.sampler = make_again(len(study.trials))
                study.tell(study.ask({"x": FloatDistribution(0, 1)}), 0.0)
        return [trial.params["x"] for trial in study.trials]

    assert tried([5]) == tried([2, 3])
    assert len(set(tried([5]))) == 5
    assert make(0) is not make(1)
    with pytest.raises(MtlError, match="log is for intervals"):
        space(["a=tag(log,choice(1,2))"])
    assert math.isfinite(tried([1])[0])
