"""Training batches as planned and resumed; evaluation rows each once."""

import io
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.task import TaskSpec
from mtl.prompts.keyword import Keyword
from mtl.strategies.switching.composition.grouped import Grouped
from mtl.strategies.switching.composition.homogeneous import Homogeneous
from mtl.strategies.switching.composition.mixed import Mixed
from mtl.strategies.switching.composition.stratified import Stratified
from mtl.strategies.switching.order.blocks import Blocks
from mtl.strategies.switching.order.joint import Joint
from mtl.strategies.switching.order.round_robin import RoundRobin
from mtl.strategies.switching.order.shuffled import Shuffled
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.rate.bandit import Bandit
from mtl.strategies.switching.rate.proportional import Proportional
from mtl.strategies.switching.rate.uniform import Uniform
from mtl.training import loaders
from mtl.training.loaders import EvaluationLoader, StepLoader

SWITCHINGS = {
    "joint": (Stratified, Joint, Uniform),
    "round_robin": (Homogeneous, RoundRobin, Uniform),
    "proportional": (Homogeneous, Shuffled, Proportional),
    "mixed": (Mixed, Shuffled, Proportional),
    "visits": (Grouped, Blocks, Uniform),
    "bandit": (Mixed, Shuffled, Bandit),
}


@pytest.fixture(scope="module")
def tasks(four_kinds, announced, literal):
    """Four tasks on one corpus, and one on a smaller corpus with labels on some rows."""
    texts = [letter * n for n in range(1, 8) for letter in "甲乙"]
    labels = ["x", "y", None] * 4 + ["x", "y"]
    other = TaskSpec("other", "classification", literal(texts, label=labels), on_error="skip")
    return announced([*four_kinds(), other])[0]


def loader(tasks, switching="joint", steps=25, batch_size=4, seed=0, rank=0, world=1):
    sizes = {name: len(task.labelled.rows["train"]) for name, task in tasks.items()}
    return StepLoader(tasks, Plan(sizes, batch_size, steps, 0, *SWITCHINGS[switching], block=7), seed, rank, world)


def seen(batch):
    """Each task's inputs and targets, as plain data."""
    return {
        name: (batch.ids[slice(None) if rows.inputs is None else rows.inputs].tolist(), rows.targets.tolist())
        for name, rows in batch.tasks.items()
    }


@pytest.mark.parametrize("switching", SWITCHINGS)
def test_goes_on_from_any_step_with_the_same_rows(tasks, switching):
    whole = [seen(batch) for batch in loader(tasks, switching)]
    assert len(whole) == 25
    for step in (0, 1, 13, 24):
        first = loader(tasks, switching)
        begun = iter(first)
        for _ in range(step):
            next(begun)
        resumed = loader(tasks, switching)
        file = io.BytesIO()
        torch.save(first.state_dict(), file)
        file.seek(0)
        resumed.load_state_dict(torch.load(file, weights_only=True))
        assert [seen(batch) for batch in resumed] == whole[step:]
        assert resumed.epoch >= first.epoch


@pytest.mark.parametrize("switching", SWITCHINGS)
def test_the_planned_rows_are_those_that_come(tasks, switching):
    made = loader(tasks, switching)
    came = Counter(dict.fromkeys(tasks, 0))
    for batch in made:
        came.update({name: len(rows.targets) for name, rows in batch.tasks.items()})
    assert made.plan.planned == came
    assert made.drawn + Counter() == came + Counter()


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("switching", ["joint", "mixed", "proportional"])
def test_ranks_share_the_rows_of_one_plan(tasks, switching, world):
    """By hand: what the ranks take in a step are together the rows that one process takes."""
    alone = loader(tasks, switching)
    ranks = [loader(tasks, switching, rank=rank, world=world) for rank in range(world)]
    for whole, *parts in zip(alone, *ranks, strict=True):
        for name in whole.tasks:
            mine = [seen(part).get(name, ([], [])) for part in parts]
            found = Counter(tuple(i for i in row if i) for inputs, _ in mine for row in inputs)
            assert found == Counter(tuple(i for i in row if i) for row in seen(whole)[name][0])
    assert {tuple(sorted(rank.drawn.items())) for rank in ranks} == {tuple(sorted(alone.drawn.items()))}


def test_every_training_row_comes_once_an_epoch_and_none_of_another_split(tasks):
    made = loader(tasks, steps=36, batch_size=3)  # 108 rows: three epochs of 36
    rows = Counter()
    for name in tasks:
        drawn = made.streams[name].take(0, 3 * len(made.streams[name].rows))
        assert Counter(drawn.tolist()) == dict.fromkeys(tasks[name].labelled.rows["train"].tolist(), 3)
    for batch in made:
        rows.update(map(tuple, seen(batch)["mood"][0]))
    inputs = tasks["mood"].inputs
    expected = Counter()
    for row in tasks["mood"].labelled.rows["train"]:
        expected[tuple(inputs.pad(np.array([row]), inputs.lengths[row])[0].tolist())] += 3
    assert Counter({tuple(i for i in row if i): 0 for row in rows}) | expected == expected
    stripped = Counter()
    for row, count in rows.items():
        stripped[tuple(i for i in row if i)] += count
    assert stripped == expected


@pytest.mark.parametrize("prompt", [None, Keyword()])
def test_tasks_of_the_same_rows_get_the_same_rows_under_joint(prompt, four_kinds, announced):
    tasks, _ = announced(four_kinds(), prompt)
    made = loader(tasks, steps=20)
    for step in range(20):
        assert len({tuple(stream.take(4 * step, 4)) for stream in made.streams.values()}) == 1
    distinct = [len(batch.ids) for batch in made]
    assert distinct == [4 if prompt is None else 16] * 20


def test_the_order_depends_on_the_seed(tasks):
    assert [seen(b) for b in loader(tasks, seed=0)] != [seen(b) for b in loader(tasks, seed=1)]


def test_epochs_are_passes_over_the_largest_task(tasks):
    made = loader(tasks, steps=30, batch_size=6)
    assert max(len(stream.rows) for stream in made.streams.values()) == 36
    assert [made.epoch for _ in made] == [(step + 1) * 6 // 36 for step in range(30)]


@pytest.mark.parametrize("split", ["val", "test"])
@given(tokens=st.integers(1, 200))
def test_every_labelled_row_is_evaluated_exactly_once(tasks, split, tokens):
    made = EvaluationLoader(tasks, split, tokens)
    rows = {name: [] for name in tasks}
    for plan, batch in zip(made.plan, made, strict=True):
        for name, asked in plan.items():
            rows[name] += asked.tolist()
            assert len(batch.tasks[name].targets) == len(asked)
    for name, task in tasks.items():
        assert sorted(rows[name]) == task.labelled.rows[split].tolist()
    assert len(made) == len(made.plan)


def test_tasks_of_one_corpus_with_labels_on_other_rows_are_each_evaluated_on_theirs(literal, announced):
    splits = ["train"] * 4 + ["val"] * 6 + ["test"]
    source = literal(
        [c * (i + 1) for i, c in enumerate("abcdefghijk")],
        splits,
        one=["x", "y", None, None, "x", None, "y", "x", None, "x", "y"],
        two=[None, None, "x", "y", None, "y", "y", None, "x", None, "y"],
    )
    specs = [TaskSpec(name, "classification", source, name, on_error="skip") for name in ("one", "two")]
    tasks, _ = announced(specs)
    assert tasks["one"].inputs is tasks["two"].inputs
    made = EvaluationLoader(tasks, "val", 25)
    assert len(made) > 1
    rows = {name: sorted(row for plan in made.plan if name in plan for row in plan[name]) for name in tasks}
    assert rows == {"one": [4, 6, 7, 9], "two": [5, 6, 8]}
    targets = {name: Counter() for name in tasks}
    for batch in made:
        for name, share in batch.tasks.items():
            targets[name].update(share.targets.tolist())
    assert targets == {"one": {0: 3, 1: 1}, "two": {0: 1, 1: 2}}


def test_evaluation_batches_hold_about_so_many_tokens(tasks):
    for batch in EvaluationLoader(tasks, "test", 40):
        assert batch.ids.numel() <= 40 or len(batch.ids) == 1
    assert len(EvaluationLoader(tasks, "test", 10**6)) == 2  # one a corpus
    assert torch.equal(*(next(iter(EvaluationLoader(tasks, "test"))).ids for _ in range(2)))


def test_21_an_error_in_a_row_comes_to_light_and_does_not_begin_the_data_anew(tasks, monkeypatch):
    """LibMTL catches every exception of its loader and starts it again."""
    made, collate, calls = loader(tasks, "joint"), loaders.collate, []

    def broken(rows, known):
        calls.append(rows)
        if len(calls) == 2:
            raise RuntimeError("a broken row")
        return collate(rows, known)

    monkeypatch.setattr(loaders, "collate", broken)
    with pytest.raises(RuntimeError, match="a broken row"):
        list(made)
    assert len(calls) == 2
