"""What a run uses, against plain counts, and where its length ends it."""

import pytest
import torch
from torch import nn

from mtl.data.batch import Batch, TaskRows
from mtl.data.kinds import Classification
from mtl.model.cloze.cloze import Cloze
from mtl.model.lstm import LSTM
from mtl.model.multitask import MultiTaskModel
from mtl.model.prompt.soft import Soft
from mtl.prompts.none import NoPrompt
from mtl.strategies.switching.composition.grouped import Grouped
from mtl.strategies.switching.composition.homogeneous import Homogeneous
from mtl.strategies.switching.composition.mixed import Mixed
from mtl.strategies.switching.order.joint import Joint
from mtl.strategies.switching.order.sequential import Sequential
from mtl.strategies.switching.order.shuffled import Shuffled
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.rate.annealed import Annealed
from mtl.strategies.switching.rate.proportional import Proportional
from mtl.strategies.switching.rate.scheduled import Scheduled
from mtl.strategies.switching.rate.uniform import Uniform
from mtl.strategies.switching.rate.unimax import UniMax
from mtl.strategies.weighting.base import Signals
from mtl.strategies.weighting.scheduled import Scheduled as ScheduledWeights
from mtl.training.budget import Budget, Meter, flops_per_place
from mtl.training.loaders import ENDLESS, StepLoader

SIZES = {"a": 10, "b": 30, "c": 60}


def plan(steps=None, composition=Mixed, order=Joint, rate=Uniform, rows=None):
    return Plan(SIZES, 4, steps, 0, composition, order, rate, 10, rows)


@pytest.fixture
def loader(four_kinds, announced):
    tasks, _ = announced(four_kinds())
    sizes = {name: len(task.labelled.rows["train"]) for name, task in tasks.items()}
    return StepLoader(tasks, Plan(sizes, 4, 25, 0, Mixed, Shuffled, Proportional, 7), 0)


def test_the_loader_counts_what_stands_in_its_batches(loader):
    steps, rows, tokens = (dict.fromkeys(loader.tasks, 0) for _ in range(3))
    whole = 0
    for batch in loader:
        whole += batch.ids.numel()
        for name, share in batch.tasks.items():
            steps[name] += 1
            rows[name] += len(share.targets)
            lengths = batch.lengths if share.inputs is None else batch.lengths[share.inputs]
            tokens[name] += int(lengths.sum())
            assert loader.tokens[name] == int(lengths.sum())
    found = {unit: dict(counts) for unit, counts in loader.used.items()}
    assert {"steps": steps, "rows": rows, "tokens": tokens}.items() <= found.items()
    assert sum(found["places"].values()) == whole
    for name in loader.tasks:
        share = tokens[name] / sum(tokens.values())
        assert found["places"][name] / whole == pytest.approx(share, rel=0.15)


def test_flops_are_six_a_trained_and_two_a_frozen_weight_without_embeddings():
    trunk = LSTM(1000, per_token=False, units=8, embedding=4)
    weights = 4 * 8 * (4 + 8) + 2 * 4 * 8  # four gates; torch keeps two biases
    assert flops_per_place(trunk) == 6 * weights
    for weight in trunk.parameters():
        weight.requires_grad_(False)
    assert flops_per_place(trunk) == 2 * weights


def test_flops_count_the_places_of_a_prompt_among_the_tokens(four_kinds, announced):
    prompt = Soft(NoPrompt(), {"mood": 2, "stars": 5, "topics": 1, "tags": 3})
    tasks, vocabulary = announced(four_kinds(), prompt)
    trunk = LSTM(len(vocabulary), per_token=True, units=4, embedding=4)
    prompt.make(trunk, {name: task.labelled.task for name, task in tasks.items()}, vocabulary, 0)
    model = MultiTaskModel(trunk, {name: task.labelled.task.kind for name, task in tasks.items()}, prompt=prompt)
    sizes = {name: len(task.labelled.rows["train"]) for name, task in tasks.items()}
    steps = Plan(sizes, 4, 9, 0, Homogeneous, Shuffled, Uniform, 9)
    loader = StepLoader(tasks, steps, 0, reads=model.places)
    meter, places = Meter(loader, Budget("steps", 9), trunk), dict.fromkeys(tasks, 0)
    for batch in loader:
        ((name, share),) = batch.tasks.items()
        places[name] += len(share.targets) * (int(batch.lengths.max()) + prompt.length[name])
    weights = 2 * (4 * 2 * (4 + 2) + 2 * 4 * 2)  # two directions of 2 units: four gates, torch's two biases
    assert meter.by_task()["flops"] == {name: 6 * weights * count for name, count in places.items()}


def test_places_count_each_input_that_the_words_of_a_label_make():
    cloze = Cloze({"mood": [[(5,), (6, 7)], [(8,)]]}, mask=1, end=1)  # inputs with one mask, and with two
    model = MultiTaskModel(LSTM(10, True, units=4, embedding=4), {"mood": Classification(["a", "b"])}, cloze=cloze)
    ids = torch.tensor([[2, 4, 1, 3], [2, 1, 3, 0]])
    batch = Batch(ids, torch.tensor([4, 3]), {"mood": TaskRows(None, torch.zeros(2))})
    assert model.places(batch) == 2 * 2 * (4 + 1)


class Line(LSTM):
    """Linear layers, which torch's own counter does see."""

    def __init__(self):
        nn.Module.__init__(self)
        self.first, self.second = nn.Linear(8, 16, bias=False), nn.Linear(16, 8, bias=False)


def test_flops_agree_with_torchs_counter_where_it_sees_the_layers():
    from torch.utils.flop_counter import FlopCounterMode

    trunk = Line()
    given = torch.randn(12, 8, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        trunk.second(trunk.first(given)).sum().backward()
    assert counter.get_total_flops() == 12 * flops_per_place(trunk)


def test_totals_shares_and_the_page(loader):
    meter = Meter(loader, Budget("tokens", 100), LSTM(10, per_token=False))
    for _ in loader:
        pass
    meter.seconds = dict.fromkeys(loader.tasks, 0.5)
    points = meter.points()
    assert points["budget/steps"] == 25
    assert points["budget/rows"] == 25 * 16
    assert points["budget/seconds"] == 2
    for unit in ("rows", "tokens", "seconds", "flops"):
        assert points[f"budget/{unit}"] == pytest.approx(sum(points[f"budget/{n}/{unit}"] for n in loader.tasks))
    assert meter.used == points["budget/tokens"] / 100
    assert "| mood |" in meter.page()
    assert "(25 %)" in meter.page()


@pytest.mark.parametrize(("rows", "steps"), [(12, 1), (13, 2), (120, 10), (121, 11)])
def test_rows_are_steps_where_every_step_has_as_many(rows, steps):
    made = plan(rows=rows)
    assert made.steps == steps
    for step in range(steps):
        made.rows(step)
    assert rows <= sum(made.planned.values()) < rows + 12


def test_where_steps_are_not_known_the_plan_goes_on_in_whole_blocks():
    uneven = lambda sizes, batch_size: Grouped(sizes, batch_size, [["a", "b"], ["c"]])  # noqa: E731
    made = plan(composition=uneven, rows=120)
    assert made.steps is None
    assert [len(made.rows(step)) for step in range(35)]
    assert sum(made.planned.values()) >= 4 * 10 * 4


def test_a_rate_in_the_step_goes_by_what_is_used():
    def rate(sizes):
        return Scheduled(sizes, {"a": "1 - t", "b": "t", "c": 0.5})

    made = plan(composition=Homogeneous, rate=rate)
    assert made.rows(0)
    assert made.rates.tolist() == pytest.approx([1 / 1.5, 0, 0.5 / 1.5])
    made.done = 0.75
    for step in range(1, 11):
        made.rows(step)
    assert made.rates.tolist() == pytest.approx([0.25 / 1.5, 0.75 / 1.5, 0.5 / 1.5])


def test_annealing_by_epochs_goes_by_what_is_used():
    made = plan(rate=lambda sizes: Annealed(sizes, epochs=2))
    made.rows(0)
    first = made.rates
    made.done = 0.5
    for step in range(1, 11):
        made.rows(step)
    assert first.tolist() == pytest.approx([0.1, 0.3, 0.6])
    assert made.rates.tolist() != first.tolist()


def test_weights_in_the_step_go_by_what_is_used():
    weighting = ScheduledWeights({"a": "classification", "b": "classification"}, points=[[1, 0], [0, 1]])
    tasks, losses = torch.arange(2), torch.ones(2)
    by_steps = weighting(Signals(tasks, losses, 25, 101))
    torch.testing.assert_close(weighting(Signals(tasks, losses, 7, None, used=0.25)), by_steps)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"order": Sequential}, "`order` plans the whole run at once: its length should be in steps or rows"),
        ({"rate": UniMax}, "`rate` plans the rows of the whole run: its length should be in steps or rows"),
        ({"rows": 11}, "`rows` should be at least the 12 of a step. Found 11"),
        (
            {"rate": lambda sizes: Scheduled(sizes, {"a": "1 / (t - 0.5)", "b": 1, "c": 1})},
            r"should give finite shares >= 0, not all 0. Found a -2",
        ),
        ({"rate": lambda sizes: Scheduled(sizes, {"a": "step / steps", "b": 1, "c": 1})}, "Found a nan, b 1, c 1"),
    ],
)
def test_what_needs_the_number_of_steps_says_so(parts, message):
    with pytest.raises(ValueError, match=message):
        plan(**parts)


def test_a_loader_without_an_end_says_it_is_long(loader):
    sizes = {name: len(task.labelled.rows["train"]) for name, task in loader.tasks.items()}
    assert len(StepLoader(loader.tasks, Plan(sizes, 4, None, 0, Mixed, Joint, Uniform), 0)) == ENDLESS
