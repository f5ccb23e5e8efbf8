import os

import pytest
from mlflow import MlflowClient

TASKS = "task=[./reviews.yaml,names.yaml]"

WRONG = {
    "an unknown task lists the tasks": (["task=nope"], ["task/nope", "zh_sentiment", "zh_entities", "zh_pos"]),
    "an unknown prompt lists the prompts": (["prompt=nope"], ["prompt/nope", "keyword", "phrase", "feature"]),
    "an unknown weighting lists the weightings": (["weighting=nope"], ["weighting/nope", "uncertainty", "scheduled"]),
    "a field that no option of its group has": (
        ["optimizer.foo=1"],
        ["optimizer.foo: optimizer=adam has no field foo; it has lr, betas", "+optimizer.foo=VALUE"],
    ),
    "a field of another option": (
        ["probe.share=0.1"],
        ["probe.share: probe=none has no field share; probe=switching has"],
    ),
    "a field of another trunk": (
        ["trunk=transformer", "trunk.cache=true"],
        ["trunk.cache: trunk=transformer has no field cache; trunk=hf_decoder, hf_encoder, minilm or smollm2 has"],
    ),
    "a field of another option, below": (
        ["switching=proportional", "switching.rate.temperature=2"],
        ["switching.rate.temperature: switching/rate=proportional has no field temperature; switching/rate=temp"],
    ),
    "a group of another option": (
        ["prompt/text=keyword"],
        ["prompt/text: prompt=none has no field text; prompt=attentional, feature_vector,", " or suffix has"],
    ),
    "a field of another sweeper": (
        ["-m", "hydra.sweeper.n_trials=3"],
        ["hydra.sweeper.n_trials: hydra/sweeper=grid has no field n_trials; hydra/sweeper=optuna has"],
    ),
    "a field that is not there": (["budget.row=3"], ["budget.row: budget has no field row; it has rows, tokens"]),
    "an option that is not there": (["stepz=3"], ["stepz: there is no option stepz; did you mean steps?"]),
    "a task file that is not there": (["task=[./nothing.yaml]"], ["nothing.yaml"]),
    "weights for a task not in the run": (
        [TASKS, "weighting=fixed", "weighting.weights={reviews: 1, nobody: 1}"],
        ["weights", "reviews, names", "'nobody'"],
    ),
    "a task without a weight": ([TASKS, "weighting=fixed", "weighting.weights={reviews: 1}"], ["Missing: names"]),
    "a negative weight": (
        [TASKS, "weighting=fixed", "weighting.weights={reviews: 1, names: -2}"],
        ["not negative", "-2", "'names'"],
    ),
    "a csv without the named column": ([TASKS, "tasks.reviews.text=words"], ["reviews.csv", "comment", "'words'"]),
    "a label field that is not there": ([TASKS, "tasks.reviews.label=sterne"], ["label", "stars", "'sterne'"]),
    "a label outside the declared ones": (
        [TASKS, "tasks.reviews.labels=[good,so-so]"],
        ["reviews.csv, line ", "'bad'", "good or so-so"],
    ),
    "an unknown field of a task": ([TASKS, "tasks.reviews.labl=x"], ["'labl'", "keywords"]),
    "an unknown kind": ([TASKS, "tasks.reviews.kind=riddle"], ["classification", "'riddle'"]),
    "a prompt that the task has no words for": (
        [TASKS, "prompt=keyword", "~tasks.names.keywords"],
        ["Task names has none", "keywords"],
    ),
    "a prompt longer than the input": ([TASKS, "prompt=keyword", "data.max_length=2"], ["max_length"]),
    "a learned prompt longer than the input": ([TASKS, "prompt=soft", "prompt.length=40"], ["max_length", "40 tokens"]),
    "a learned prompt longer than the trunk's positions": (
        [TASKS, "prompt=soft", "trunk=transformer", "trunk.max_length=12", "data.max_length=25"],
        ["trunk: max_length", "Found 12"],
    ),
    "words for a prompt that are not in the vocabulary": (
        [TASKS, "prompt=soft", "prompt.init=[book,zebra]"],
        ["init", "vocabulary", "'zebra'"],
    ),
    "words of a prompt for a task not in the run": (
        [TASKS, "prompt=soft", "prompt.init={reviews: keywords, names: random, nobody: [book]}"],
        ["init", "reviews, names", "'nobody'"],
    ),
    "a learned prompt without a length for a task": (
        [TASKS, "prompt=soft", "prompt.length={reviews: 3}"],
        ["length", "Missing: names"],
    ),
    "a prompt that starts from keywords that are not there": (
        [TASKS, "prompt=soft", "prompt.init=keywords", "~tasks.names.keywords"],
        ["init=keywords", "names"],
    ),
    "an unknown start of a prompt": ([TASKS, "prompt=soft", "prompt.init=zeros"], ["init", "phrase", "'zeros'"]),
    "an unknown slot": ([TASKS, "prompt=soft", "prompt.slot=middle"], ["slot", "start, before", "'middle'"]),
    "a suffix behind tags that are read one way": (
        [TASKS, "prompt=suffix", "trunk.bidirectional=false", "prompt.length=3"],
        ["slot", "start or before", "names", "'end'"],
    ),
    "a prefix on a trunk without attention": ([TASKS, "prompt=prefix"], ["prefix", "transformer", "lstm"]),
    "an unknown text prompt lists them": (["prompt=soft", "prompt/text=nope"], ["prompt/text/nope", "keyword"]),
    "no task named for single": ([TASKS, "switching=single"], ["task", "reviews, names"]),
    "gap without single-task runs": (
        [TASKS, "switching/rate=gap", "switching.block=4"],
        ["single-task", "switching.task=reviews,names"],
    ),
    "doge without gradients": ([TASKS, "switching/rate=doge", "switching.block=4"], ["needs", "mgda"]),
    "shares that don't sum": (
        [TASKS, "switching/rate=fixed", "switching.rate.shares={reviews: 0.5, names: 0.4}"],
        ["`shares` should sum to 1. Found 0.9"],
    ),
    "a negative share": (
        [TASKS, "switching/rate=fixed", "switching.rate.shares={reviews: 1.5, names: -0.5}"],
        ["`shares` should be finite numbers >= 0", "-0.5"],
    ),
    "a share for nobody": (
        [TASKS, "switching/rate=fixed", "switching.rate.shares={reviews: 0.5, x: 0.5}"],
        ["each of reviews, names", "reviews, x"],
    ),
    "importance of nothing": (
        [TASKS, "switching/rate=equal_cost", "switching.block=4", "switching.rate.importance={reviews: 0, names: 0}"],
        ["`importance`", "not all 0"],
    ),
    "rates that are all zero": (
        [TASKS, "switching/rate=scheduled", "switching.rate.rates={reviews: 0, names: 0}"],
        ["not all 0", "reviews 0, names 0 at step 0"],
    ),
    "a rate that gets negative": (
        [TASKS, "switching/rate=scheduled", "switching.block=3", "switching.rate.rates={reviews: '0.5 - t', names: 1}"],
        ["finite shares >= 0", "reviews -0.04545, names 1 at step 6"],
    ),
    "a rate without a value at some step": (
        [
            *(TASKS, "switching/rate=scheduled", "switching.block=3"),
            "switching.rate.rates={reviews: 'sqrt(0.5 - t)', names: 1}",
        ],
        ["finite shares", "reviews nan, names 1 at step 6"],
    ),
    "a rate by steps that are not known": (
        [TASKS, "budget.tokens=500", "switching/rate=scheduled", "switching.rate.rates={reviews: steps, names: 1}"],
        ["reviews nan, names 1 at step 0"],
    ),
    "a round longer than the run": (
        [TASKS, "switching/order=blocks", "switching.order.length=10"],
        ["a round of 2 visits of 10 steps takes 20", "the run's 12", "switching.order.length"],
    ),
    "a rate that would never adapt": (
        [TASKS, "switching/rate=bandit"],
        ["12 steps are planned as one", "switching.block (found 100)"],
    ),
    "a probe in a budget of rows": ([TASKS, "probe=switching", "budget.rows=100"], ["take steps=N"]),
    "a probe of adatask": ([TASKS, "probe=switching", "optimizer=adatask"], ["take adam, adamw or sgd"]),
    "a probe of cosmos": ([TASKS, "probe=switching", "weighting=cosmos"], ["another weighting than cosmos"]),
    "cosmos under adatask": ([TASKS, "weighting=cosmos", "optimizer=adatask"], ["take another for cosmos"]),
    "a budget without a unit": ([TASKS, "budget=5"], ["budget.rows=N", "budget=5"]),
    "early stopping without a field": ([TASKS, "early_stop=3"], ["early_stop.patience=N", "early_stop=3"]),
    "a budget in two units": ([TASKS, "budget.rows=100", "budget.tokens=5"], ["one unit", "rows and tokens"]),
    "a budget of nothing": ([TASKS, "budget.flops=0"], ["budget.flops", "positive number", "0"]),
    "a budget that is no number": ([TASKS, "budget.seconds=soon"], ["budget.seconds", "'soon'"]),
    "a budget of less than a step": ([TASKS, "budget.rows=15"], ["`rows` should be at least the 16 of a step", "15"]),
    "an order of the whole run without its steps": (
        [TASKS, "budget.tokens=500", "switching/order=sequential"],
        ["`order` plans the whole run", "in steps or rows"],
    ),
    "a rate of the whole run without its rows": (
        [TASKS, "budget.seconds=5", "switching/rate=unimax"],
        ["`rate` plans the rows of the whole run", "in steps or rows"],
    ),
    "no steps and no budget": ([TASKS, "steps=null"], ["steps", "None"]),
    "visits longer than the run": (
        [TASKS, "switching/order=blocks", "switching.order.length=5000"],
        ["length", "5000"],
    ),
    "a rate that is no expression": (
        [TASKS, "switching/rate=scheduled", "switching.rate.rates={reviews: '1 +', names: 1}"],
        ["'1 +' is not an expression"],
    ),
    "single of a task not in the run": ([TASKS, "switching=single", "switching.task=x"], ["reviews, names", "'x'"]),
    "steps that are no number": ([TASKS, "steps=many"], ["steps", "'many'"]),
    "steps that are true": ([TASKS, "steps=true"], ["steps should be a whole number of at least 1. Found True"]),
    "a look at gradients now and then": (
        [TASKS, "tracking.gradients_every=often"],
        ["tracking.gradients_every should be null or a whole number of at least 0. Found 'often'"],
    ),
    "a word that is no override": (["-m", "seed=0,1", "nope"], ["nope: missing EQUAL"]),
    "a list that does not end": (["task=[reviews"], ["task=[reviews: no viable alternative"]),
    "no step at all": ([TASKS, "steps=0"], ["steps", "0"]),
    "an unknown selection": ([TASKS, "selection=test"], ["selection", "last or best", "'test'"]),
    "a learning rate below zero": ([TASKS, "optimizer.lr=-1"], ["optimizer", "-1"]),
    "an unknown precision": ([TASKS, "trainer.precision=17"], ["trainer", "17"]),
    "a target outside the allowed ones": ([TASKS, "trunk._target_=os.system"], ["_target_", "os.system", "mtl."]),
    "a store in a folder that is not there": (
        [TASKS, "tracking.uri=sqlite:////no/such/folder/mlflow.db"],
        ["/no/such/folder"],
    ),
    "split shares that don't sum to one": ([TASKS, "tasks.reviews.split.fractions=[1,1,1]"], ["fractions", "sum 1"]),
    "an empty split": ([TASKS, "tasks.reviews.split.fractions=[0.99998,0.00001,0.00001]"], ["split"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_answered_in_a_line_and_leaves_no_run(mtl, folder, name):
    words, parts = WRONG[name]
    done = mtl("train", *words)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert done.err.startswith("mtl: ")
    assert len(done.err.splitlines()) == 1 or "Available options" in done.err
    for part in parts:
        assert part in done.err, done.err
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    assert not client.search_runs(experiments)


def test_a_sweep_without_a_store_does_not_begin(mtl, folder):
    done = mtl("train", "-m", TASKS, "seed=0,1", "tracking.uri=sqlite:////no/such/folder/mlflow.db")
    assert done.code == 2
    assert done.err.splitlines() == ["mtl: the folder of the store /no/such/folder/mlflow.db does not exist"]
    assert "seed=1" not in done.out


def test_a_field_that_some_options_of_a_sweep_lack_is_told_from_those_that_have_it(mtl, folder):
    done = mtl("train", "-m", "prompt=soft,keyword", "prompt.length=3")
    assert done.code == 2
    said = "mtl: prompt.length: not every option of prompt=soft,keyword has a field length; prompt=attentional, "
    assert [line.startswith(said) for line in done.err.splitlines()] == [True], done.err


def test_a_server_that_does_not_answer_is_named_in_seconds(mtl, folder):
    done = mtl("train", TASKS, "tracking.uri=http://127.0.0.1:9")
    assert done.code == 2
    assert "http://127.0.0.1:9 does not answer" in done.err


def test_two_files_of_one_name_are_refused(mtl, folder):
    (folder / "other").mkdir()
    (folder / "other" / "reviews.yaml").write_text("kind: regression\nsource: x.csv\n")
    done = mtl("train", "task=[./reviews.yaml,other/reviews.yaml]")
    assert done.code == 2
    assert "reviews.yaml" in done.err


@pytest.mark.parametrize("name", ["1", "2e3", "null", "True", "nan"])
def test_a_file_whose_name_is_a_value_is_refused(mtl, folder, name):
    (folder / "reviews.yaml").rename(folder / f"{name}.yaml")
    done = mtl("train", f"task=[./{name}.yaml]")
    assert done.code == 2
    assert done.err == f"mtl: task: the name of {name}.yaml is read as a value, not as a name; rename the file\n"


def test_a_file_whose_name_hydra_cannot_read_is_refused(mtl, folder):
    (folder / "reviews.yaml").rename(folder / "评论.yaml")
    done = mtl("train", "task=[./评论.yaml]")
    assert done.code == 2
    assert done.err == "mtl: task: the name of 评论.yaml should be of letters from a to z, digits, _ and -\n"


def test_a_broken_row_stops_with_file_and_line_or_is_skipped_and_counted(mtl, folder):
    path = folder / "reviews.csv"
    lines = path.read_text().splitlines()
    lines[16] = "a row, of three, fields"
    path.write_text("\n".join(lines) + "\n")
    stopped = mtl("train", TASKS)
    assert stopped.code == 2
    assert "reviews.csv, line 17" in stopped.err
    skipped = mtl("train", TASKS, "tasks.reviews.on_error=skip")
    assert skipped.code == 0
    assert "left out 1 row, the first is reviews.csv, line 17" in skipped.err


def test_a_text_in_two_given_splits_is_reported(mtl, folder):
    lines = (folder / "reviews.csv").read_text().splitlines()
    (folder / "a.csv").write_text("\n".join(lines[:200]) + "\n")
    (folder / "b.csv").write_text("\n".join([lines[0], *lines[150:]]) + "\n")
    done = mtl("train", TASKS, "tasks.reviews.source={train: a.csv, test: b.csv}")
    assert done.code == 0
    assert "50 texts in more than one split" in done.err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["table", "nothing"], ["'nothing'", "made"]),
        (["predict", "abc", "text"], ["abc"]),
        (["predict", "x.ckpt", "text"], ["x.ckpt"]),
        (["ui", "--uri", "sqlite:////no/such.db"], ["/no/such.db"]),
    ],
)
def test_other_commands_answer_mistakes_in_a_line(mtl, words, parts):
    done = mtl(*words)
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1
    for part in parts:
        assert part in done.err


def test_a_file_that_is_missing_leaves_the_environment_as_it_was(mtl, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")
    assert mtl("train", "task=./nowhere.yaml").code == 2
    assert os.environ["HYDRA_FULL_ERROR"] == ""
