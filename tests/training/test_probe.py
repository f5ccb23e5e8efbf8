"""The instrument leaves training alone, and measures what is known in closed form."""

import io
import math
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_lightning.callbacks import Callback
from torch import nn

from mtl.data.task import TaskSpec
from mtl.functional.switch_trace import Trace
from mtl.model.base import Trunk
from mtl.model.multitask import MultiTaskModel
from mtl.model.prompt.soft import Soft
from mtl.model.transformer import Transformer
from mtl.prompts.keyword import Keyword
from mtl.prompts.none import NoPrompt
from mtl.strategies.switching.composition.homogeneous import Homogeneous
from mtl.strategies.switching.composition.mixed import Mixed
from mtl.strategies.switching.composition.stratified import Stratified
from mtl.strategies.switching.order.blocks import Blocks
from mtl.strategies.switching.order.joint import Joint
from mtl.strategies.switching.order.round_robin import RoundRobin
from mtl.strategies.switching.order.sequential import Sequential
from mtl.strategies.switching.order.shuffled import Shuffled
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.rate.uniform import Uniform
from mtl.strategies.weighting.fixed import Fixed
from mtl.strategies.weighting.uncertainty import Uncertainty
from mtl.strategies.weighting.upgrad import UPGrad
from mtl.training.loaders import StepLoader
from mtl.training.module import MultiTaskModule
from mtl.training.probe import Probe
from mtl.training.probe_meter import Meter, common, layer_of, shared_parameters, undisturbed
from mtl.training.probe_optimizer import fresh_step, stale_step
from mtl.training.probe_rows import probe_rows
from mtl.training.probe_schedule import Schedule

pytestmark = pytest.mark.filterwarnings("ignore")
SWITCHINGS = {
    "joint": (Stratified, Joint),
    "round_robin": (Homogeneous, RoundRobin),
    "blocks": (Homogeneous, partial(Blocks, length=3)),
    "mixed": (Mixed, Shuffled),
    "sequential": (Homogeneous, Sequential),
}
ADAM, SGD = partial(torch.optim.Adam, lr=0.01), partial(torch.optim.SGD, lr=0.05, momentum=0.9)


class Fragile(Trunk):
    """Everything that a careless measurement would disturb: dropout, running statistics, a part held in evaluation."""

    width = 6

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(vocabulary, 6), nn.Dropout(0.3)
        self.norm, self.held = nn.BatchNorm1d(6), nn.Dropout(0.5)
        self.lstm = nn.LSTM(6, 6, num_layers=2, dropout=0.2, batch_first=True)

    def train(self, mode: bool = True):
        super().train(mode)
        self.held.eval()
        return self

    def forward(self, ids, lengths):
        embedded = self.held(self.dropout(self.embedding(ids)))
        normed = self.norm(embedded.flatten(0, 1)).view_as(embedded)
        return self.lstm(normed)[0]

    def pool(self, features, lengths):
        return features.mean(1)


class Keep(Callback):
    """The rows of every step, and the random state before it."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        rows = {name: part.targets.tolist() for name, part in batch.tasks.items()}
        modes = [module.training for module in pl_module.modules()]
        self.seen.append((batch.ids.tolist(), rows, torch.get_rng_state().tolist(), modes))


@pytest.fixture(scope="module")
def tasks(four_kinds, announced):
    return announced(four_kinds(), Keyword())[0]


def fit(
    tasks,
    switching,
    trunk,
    steps,
    weighting=Fixed,
    optimizer=ADAM,
    batch_size=4,
    probe=None,
    prepare=None,
    module_class=MultiTaskModule,
    prompt=None,
):
    torch.manual_seed(0)
    known = {name: task.labelled.task for name, task in tasks.items()}
    kinds = {name: task.kind for name, task in known.items()}
    model = MultiTaskModel(trunk(), kinds, dropout=0.2, prompt=prompt)
    if prepare is not None:
        prepare(model)
    module = module_class(
        model, known, weighting({name: kind.name for name, kind in kinds.items()}), optimizer, steps, {}
    )
    sizes = {name: len(task.labelled.rows["train"]) for name, task in tasks.items()}
    loader = StepLoader(tasks, Plan(sizes, batch_size, steps, 0, *SWITCHINGS[switching], Uniform, 12), 0)
    callbacks, recorded, written = [], [], {}
    if probe is not None:
        record = lambda points, step: recorded.append((step, points))  # noqa: E731
        write = lambda text, path: written.update({path: text})  # noqa: E731
        callbacks.append(Probe(tasks, steps, 0, record, write, **probe))
    keep = Keep()
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=1,
        enable_model_summary=False,
        callbacks=[*callbacks, keep],
        **options,
    )
    trainer.fit(module, loader)
    return module, keep, callbacks, recorded, written


@pytest.mark.parametrize("switching", SWITCHINGS)
@pytest.mark.parametrize(
    ("weighting", "optimizer"), [(Fixed, ADAM), (Uncertainty, SGD), (UPGrad, partial(torch.optim.AdamW, lr=0.01))]
)
def test_training_goes_on_bit_by_bit_as_without_the_probe(tasks, switching, weighting, optimizer):
    trunk = partial(Fragile, 40)
    plain, without, *_ = fit(tasks, switching, trunk, 25, weighting, optimizer)
    probed, with_it, (probe,), *_ = fit(
        tasks, switching, trunk, 25, weighting, optimizer, probe={"every": 1, "rows": 5}
    )
    assert with_it.seen == without.seen
    for (name, one), other in zip(plain.state_dict().items(), probed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    memory = [module.trainer.optimizers[0].state_dict()["state"] for module in (plain, probed)]
    assert memory[0].keys() == memory[1].keys()
    for place, state in memory[0].items():
        assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(memory[1][place][k])) for k, v in state.items())
    assert len(probe.trace.gradients) == 24
    assert probe.trace.steps == 25
    assert bool(probe.trace.stale) == (switching != "joint")


def test_an_error_inside_a_measurement_leaves_the_model_as_it_was():
    model = MultiTaskModel(Fragile(10), {})
    model.train()
    modes, random = [module.training for module in model.modules()], torch.get_rng_state()

    def fail():
        with undisturbed(model):
            torch.randn(3)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)


def test_a_state_goes_through_a_checkpoint_and_through_json(tasks):
    probe = fit(tasks, "round_robin", partial(Fragile, 40), 20, probe={"every": 3})[2][0]
    file = io.BytesIO()
    torch.save(probe.state_dict(), file)
    file.seek(0)
    other = Probe(tasks, 20, 0, lambda *_: None, lambda *_: None, every=3)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert repr(other.trace) == repr(probe.trace)  # nan is not nan
    assert other.state_dict().keys() == probe.state_dict().keys()
    assert repr(other.schedule.state()) == repr(probe.schedule.state())
    assert repr(Trace.from_json(probe.trace.to_json())) == repr(probe.trace)
    assert "NaN" not in probe.trace.to_json()


def test_probe_rows_are_validation_rows_and_tasks_that_share_rows_share_them(tasks):
    found = probe_rows(tasks, 5, seed=0)
    assert len({tuple(rows) for rows in found.values()}) == 1
    for name, rows in found.items():
        assert len(set(rows)) == 5
        assert set(rows) <= set(tasks[name].labelled.rows["val"])
    assert probe_rows(tasks, 5, 0)["mood"].tolist() != probe_rows(tasks, 5, 1)["mood"].tolist()
    assert len(probe_rows(tasks, 10**6, 0)["mood"]) == len(tasks["mood"].labelled.rows["val"])


def test_a_loss_over_halves_is_the_loss_of_all_rows_together(tasks):
    from mtl.data.batch import collate

    torch.manual_seed(0)
    kinds = {name: task.labelled.task.kind for name, task in tasks.items()}
    model = MultiTaskModel(Fragile(40), kinds).eval()
    model.trunk.lstm = nn.LSTM(6, 6, batch_first=True)
    model.trunk.pool = lambda features, lengths: features[:, 0]  # padding must not matter here
    meter = Meter(tasks, 11, 0)
    batch = collate(probe_rows(tasks, 11, 0), tasks)
    outputs = model(batch)
    expected = torch.stack([kinds[name].loss(outputs[name], rows.targets) for name, rows in batch.tasks.items()])
    torch.testing.assert_close(meter.losses(model), expected)
    torch.testing.assert_close(torch.tensor([meter.loss(model, place) for place in range(4)]), expected.detach())


# the controlled case: two regressions on one linear trunk, whose solutions stand at an angle


class OneNumber(Trunk):
    """A number for each character: with one-character texts and heads that pass it on, y = w . onehot(x)."""

    width = 1

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(12, 1)
        nn.init.zeros_(self.table.weight)

    def forward(self, ids, lengths):
        return self.table(ids)

    def pool(self, features, lengths):
        return features[:, 0]


LETTERS = list("甲乙丙丁")
U, V = np.array([1.0, -1, 1, -1]), np.array([1.0, 1, -1, -1])
"""Orthogonal, of mean 0 and standard deviation 1, as standardised targets are."""
STEPS, RATE, LENGTH = 30, 0.2, 3


def solution(angle):
    return math.cos(angle) * U + math.sin(angle) * V


def at_angle(literal, announced, angle):
    texts = LETTERS * 4
    splits = ["train"] * 8 + ["val"] * 4 + ["test"] * 4
    source = literal(texts, splits, a=list(solution(0)) * 4, b=list(solution(angle)) * 4)
    return announced([TaskSpec("a", "regression", source, "a"), TaskSpec("b", "regression", source, "b")])[0]


def pass_on(model):
    for head in model.heads.values():
        nn.init.ones_(head[1].weight)
        nn.init.zeros_(head[1].bias)
        head.requires_grad_(False)


def by_hand(angle, momentum):
    """w after each step of blocks of 3 steps on a, 3 on b..., by gradient descent on |w - a|^2 / 4."""
    w, buffer, found, buffers = np.zeros(4), np.zeros(4), [np.zeros(4)], [np.zeros(4)]
    for step in range(STEPS):
        target = (solution(0), solution(angle))[step // LENGTH % 2]
        buffer = momentum * buffer + (w - target) / 2
        w = w - RATE * buffer
        found.append(w)
        buffers.append(buffer)
    return found, buffers


def square(w, angle):
    return float(((w - solution(angle)) ** 2).mean())


def measured(literal, announced, degrees, momentum=0.0):
    optimizer = partial(torch.optim.SGD, lr=RATE, momentum=momentum)
    tasks = at_angle(literal, announced, math.radians(degrees))
    options = {
        "optimizer": optimizer,
        "weighting": partial(Fixed, weights=[1.0, 1.0]),
        "batch_size": 8,
        "probe": {"every": 1, "rows": 4},
        "prepare": no_dropout,
    }
    return fit(tasks, "blocks", OneNumber, STEPS, **options)


def no_dropout(model):
    pass_on(model)
    for head in model.heads.values():
        head[0].p = 0.0


@pytest.mark.parametrize("degrees", [0, 50, 90, 130, 180])
def test_the_measures_of_two_tasks_at_an_angle_are_those_of_a_plain_loop(literal, announced, degrees):
    angle, momentum = math.radians(degrees), 0.5
    _, _, (probe,), *_ = measured(literal, announced, degrees, momentum)
    w, buffers = by_hand(angle, momentum)
    both = [(square(at, 0.0), square(at, angle)) for at in w]
    found = probe.summary
    for step, losses in probe.trace.losses.items():
        known = [(value, both[step][task]) for task, value in enumerate(losses) if math.isfinite(value)]
        assert all(value == pytest.approx(expected, abs=1e-5) for value, expected in known)
    # a is left at 3, 9, ... and taken up again at 6, 12, ...
    starts = range(6, STEPS, 6)
    assert found.cost[1, 0].n == len(starts)
    assert found.cost[1, 0].mean == pytest.approx(np.mean([both[s][0] - both[s - 3][0] for s in starts]), abs=1e-5)
    starts = range(9, STEPS, 6)
    assert found.cost[0, 1].mean == pytest.approx(np.mean([both[s][1] - both[s - 3][1] for s in starts]), abs=1e-5)
    ahead = [w[s] - RATE * momentum * buffers[s] for s in range(6, STEPS, 6)]
    stale = np.mean([square(to, 0.0) - both[s][0] for to, s in zip(ahead, range(6, STEPS, 6), strict=True)])
    assert found.stale[1, 0].mean == pytest.approx(stale, abs=1e-5)
    gradients = [((w[s] - solution(0)) / 2, (w[s] - solution(angle)) / 2) for s in range(1, STEPS)]
    cosines = [g @ h / np.linalg.norm(g) / np.linalg.norm(h) for g, h in gradients]
    assert float(found.conflicts["all"].cosine[0, 1]) == pytest.approx(np.mean(cosines), abs=1e-4)
    assert float(found.conflicts["table"].cosine[0, 1]) == pytest.approx(np.mean(cosines), abs=1e-4)
    ahead = [w[s] - RATE * g for s, (g, _) in enumerate(gradients, 1)]
    affinity = np.mean([1 - square(to, angle) / both[s][1] for s, to in enumerate(ahead, 1)])
    assert float(found.lookahead[0, 1]) == pytest.approx(affinity, abs=1e-3)
    # before b's first step it has no weight yet, so its share is not known there
    share = np.array([sum(pair[k] @ pair[k] for pair in gradients[LENGTH:]) for k in (0, 1)])
    assert found.dominance.tolist() == pytest.approx((share / share.sum()).tolist(), abs=1e-4)


def test_under_adam_the_lookahead_takes_adams_own_step_and_its_first_order_is_free(tasks):
    optimizer = partial(torch.optim.Adam, lr=1e-5)
    probe = fit(tasks, "round_robin", partial(Fragile, 40), 24, optimizer=optimizer, probe={"every": 4})[2][0]
    found = probe.summary
    assert float(found.lookahead.abs().max()) > 1e-5
    torch.testing.assert_close(found.lookahead, found.first_order, rtol=0.05, atol=2e-6)


def test_the_free_affinity_is_the_rate_times_the_gramian_over_the_loss(tasks):
    seen = []

    class Watch(MultiTaskModule):
        def training_step(self, batch, index):
            total = super().training_step(batch, index)
            seen.append((self.told.gramian.double(), self.told.losses.double()))
            return total

    probe = fit(tasks, "joint", partial(Fragile, 40), 6, UPGrad, SGD, probe={"every": 100}, module_class=Watch)[2][0]
    expected = torch.stack([0.05 * gramian / losses for gramian, losses in seen]).mean(0)
    torch.testing.assert_close(probe.summary.free, expected)


def test_cost_affinity_and_conflict_order_the_angles(literal, announced):
    found = [measured(literal, announced, degrees)[2][0].summary for degrees in (0, 30, 60, 90, 120, 150, 180)]
    for pair in ((0, 1), (1, 0)):
        costs = [one.cost[pair].mean for one in found]
        assert all(low < high - 1e-3 for low, high in pairwise(costs)), costs
        assert costs[0] < 0 < costs[-1]  # tasks that agree help each other
        for affinities in ([float(one.lookahead[pair]) for one in found], [one.realised[pair].mean for one in found]):
            assert all(high > low + 1e-3 for high, low in pairwise(affinities)), affinities
        cosines = [float(one.conflicts["all"].cosine[pair]) for one in found]
        assert all(high > low + 1e-3 for high, low in pairwise(cosines)), cosines
        assert cosines[0] == pytest.approx(1)
    assert [float(one.conflicts["all"].negative[0, 1]) for one in (found[0], found[-1])] == [0, 1]


@pytest.mark.parametrize("optimizer", [ADAM, partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1)])
@pytest.mark.parametrize("switching", ["blocks", "round_robin"])
def test_with_separate_parameters_a_switch_costs_nothing_at_all(tasks, switching, optimizer):
    def freeze(model):
        model.trunk.requires_grad_(False)
        model.trunk.norm.track_running_stats = False
        model.trunk.norm.running_mean = model.trunk.norm.running_var = None
        model.trunk.norm.train = lambda mode=True: model.trunk.norm

    trunk = partial(Fragile, 40)
    _, _, (probe,), recorded, _ = fit(
        tasks, switching, trunk, 36, optimizer=optimizer, probe={"every": 1}, prepare=freeze
    )
    found = probe.summary
    assert found.cost
    assert {estimate.mean for estimate in found.cost.values()} == {0.0}
    assert {estimate.mean for (i, j), estimate in found.interference.items() if i != j} == {0.0}
    assert all(steps == 0 for steps in found.recovery.values())
    assert not found.stale
    assert {points[name] for _, points in recorded for name in points if name.endswith("/cost")} == {0.0}


@pytest.fixture(scope="module")
def prompted(four_kinds, announced):
    """Tasks with soft prompts on a frozen transformer, and those: one for each task, or one for all."""

    def make(shared, frozen=True):
        table = Soft(NoPrompt(), length=3, init="random", shared=shared)
        tasks, vocabulary = announced(four_kinds(), table)
        torch.manual_seed(1)
        trunk = Transformer(len(vocabulary), True, 64, width=16, layers=1, feedforward=16, dropout=0.1, frozen=frozen)
        table.make(trunk, {name: task.labelled.task for name, task in tasks.items()}, vocabulary, 0)
        return tasks, partial(lambda made: made, trunk), table

    return make


@pytest.mark.parametrize(
    ("switching", "optimizer"),
    [("blocks", ADAM), ("round_robin", partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1))],
)
def test_with_a_prompt_for_each_task_on_a_frozen_trunk_a_switch_costs_nothing_at_all(prompted, switching, optimizer):
    tasks, trunk, table = prompted(shared=False)
    begun = {name: value.clone() for name, value in table.state_dict().items()}
    found = fit(tasks, switching, trunk, 24, optimizer=optimizer, probe={"every": 1}, prompt=table)[2][0].summary
    assert all(not torch.equal(value, begun[name]) for name, value in table.state_dict().items())  # they do train
    assert len(found.cost) >= len(tasks)
    assert {estimate.mean for estimate in found.cost.values()} == {0.0}
    assert {estimate.mean for (i, j), estimate in found.interference.items() if i != j} == {0.0}
    assert all(estimate.mean != 0 for (i, j), estimate in found.interference.items() if i == j)
    assert not found.stale  # nobody else's momentum is in a task's own row
    apart = ~torch.eye(len(tasks), dtype=torch.bool)
    assert set(found.conflicts) == {"all", "prompt"}
    assert not found.conflicts["prompt"].cosine[apart].any()
    assert not found.lookahead[apart].any()
    assert found.lookahead.diagonal().abs().min() > 0


def test_with_one_prompt_for_all_tasks_conflict_cost_and_stale_momentum_are_seen_in_it(prompted):
    tasks, trunk, table = prompted(shared=True)
    found = fit(tasks, "blocks", trunk, 36, probe={"every": 1}, prompt=table)[2][0].summary
    assert any(estimate.mean != 0 for estimate in found.cost.values())
    assert any(estimate.mean != 0 for estimate in found.stale.values())
    apart = ~torch.eye(len(tasks), dtype=torch.bool)
    assert found.conflicts["prompt"].cosine[apart].abs().min() > 0
    torch.testing.assert_close(found.conflicts["all"].cosine, found.conflicts["prompt"].cosine)


def test_stale_momentum_is_that_of_parameters_which_every_task_trains(prompted):
    tasks, trunk, table = prompted(shared=False, frozen=False)
    model = fit(tasks, "blocks", trunk, 4, prompt=table)[0].model
    names = set(shared_parameters(model))
    own = {f"prompt.rows.{task}.{name}" for task in tasks for name, _ in table.rows[task].named_parameters()}
    assert own < names
    assert {id(part) for part in common(model, tasks)} == {id(shared_parameters(model)[n]) for n in names - own}


def test_a_shared_head_start_is_seen_where_parameters_are_shared(tasks):
    found = fit(tasks, "blocks", partial(Fragile, 40), 36, probe={"every": 1})[2][0].summary
    assert any(estimate.mean != 0 for estimate in found.cost.values())


@given(
    st.integers(1, 5),
    st.floats(0.01, 0.5),
    st.lists(st.integers(1, 9), min_size=1, max_size=60),
    st.integers(1, 50),
    st.integers(100, 4000),
)
def test_measuring_stays_within_its_share_but_for_one_window(num_tasks, share, lengths, tokens, price):
    steps = sum(lengths)
    schedule = Schedule(num_tasks, steps, share, None, tokens)
    begins = set(np.cumsum([0, *lengths[:-1]]).tolist())
    for step in range(steps):
        if step in begins and schedule.at_switch(step):
            schedule.paid("windows", tokens)
        if schedule.at_gradients(step, price):
            schedule.paid("gradients", price)
        schedule.trained(tokens)
    window = (2 * num_tasks + 1) * tokens
    assert schedule.spent["gradients"] <= share / 2 * schedule.work
    assert schedule.spent["windows"] <= share / 2 * schedule.work + window + tokens


def windows_of(share, steps=600, price=100):
    """Steps at which three tasks in turn are measured."""
    schedule, found = Schedule(3, steps, share, None, price), []
    for step in range(steps):
        if schedule.at_switch(step):
            found.append(step)
            schedule.paid("windows", price)
        schedule.trained(price)
    return found


def test_the_end_of_a_run_has_a_window_whatever_the_share():
    assert windows_of(1e-9) == [0, *range(594, 600)]


def test_windows_open_as_soon_as_they_are_paid_for_and_leave_room_for_the_last():
    # a window is 700 tokens, the share comes to 1.5 a step: 900 at the end; the loss at the start is 100
    assert windows_of(0.01) == [0, *range(594, 600)]
    # 1800: one is paid for at step 267 with the start, and one more fits
    assert windows_of(0.02) == [0, *range(267, 274), *range(594, 600)]


def test_every_sets_the_distance_of_windows_and_of_gradients():
    schedule = Schedule(2, 200, 0.05, 50, 1)
    windows, gradients = [], []
    for step in range(200):
        windows += [step] if schedule.at_switch(step) else []
        gradients += [step] if schedule.at_gradients(step, 10**9) else []
        schedule.paid("windows", 10**9)
    assert windows[:11] == [0, *range(50, 55), *range(100, 105)]
    assert gradients == [50, 100, 150]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "`rows` should be a whole number of at least 1. Found 0"),
        ({"every": 0}, "`every` should be a whole number of at least 1. Found 0"),
        ({"every": 2.5}, "`every` should be a whole number of at least 1. Found 2.5"),
        ({"share": 0}, "`share` should be above 0 and at most 1. Found 0"),
        ({"share": "much"}, "`share` should be above 0 and at most 1. Found much"),
    ],
)
def test_a_wrong_option_is_refused(tasks, options, message):
    with pytest.raises(ValueError, match=message):
        Probe(tasks, 10, 0, lambda *_: None, lambda *_: None, **options)


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_stale_step_of_momentum_is_torchs_step_without_a_gradient(nesterov):
    parameter = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.7, nesterov=nesterov)
    assert stale_step(optimizer, [parameter]) is None
    parameter.grad = torch.tensor([1.0, -2.0, 0.5])
    optimizer.step()
    (expected,), before = stale_step(optimizer, [parameter]), parameter.detach().clone()
    parameter.grad = torch.zeros(3)
    optimizer.step()
    torch.testing.assert_close(parameter.detach() - before, expected)


def test_plain_descent_has_no_stale_step_and_a_fresh_one_of_its_rate():
    parameter = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    parameter.grad = torch.ones(3)
    optimizer.step()
    assert stale_step(optimizer, [parameter]) is None
    torch.testing.assert_close(fresh_step(optimizer, parameter, parameter.grad), torch.full((3,), 0.1))


@pytest.mark.parametrize("steps", [1, 4])
def test_adams_step_is_what_its_memory_and_its_gradient_bring(steps):
    parameter = nn.Parameter(torch.ones(3).double())
    optimizer = torch.optim.Adam([parameter], lr=0.1, betas=(0.8, 0.95), eps=1e-3)
    gradients = torch.randn(steps + 1, 3, generator=torch.Generator().manual_seed(0)).double()
    for gradient in gradients[:-1]:
        parameter.grad = gradient.clone()
        optimizer.step()
    state, before = optimizer.state[parameter], parameter.detach().clone()
    fresh = fresh_step(optimizer, parameter, gradients[-1])
    second = 0.95 * state["exp_avg_sq"] + 0.05 * gradients[-1] ** 2
    scale = (second / (1 - 0.95 ** (steps + 1))).sqrt() + 1e-3
    memory = 0.1 * 0.8 * state["exp_avg"] / (1 - 0.8 ** (steps + 1)) / scale
    parameter.grad = gradients[-1].clone()
    optimizer.step()
    torch.testing.assert_close(before - parameter.detach(), fresh + memory)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("embedding.weight", "embedding"),
        ("forwards.weight_ih_l0", "forwards.0"),
        ("lstm.bias_hh_l1_reverse", "lstm.1"),
        ("encoder.layers.3.norm1.weight", "encoder.layers.3"),
        ("prompt_table.rows", "prompt"),
        ("prompt.rows.mood.vectors", "prompt"),
        ("scale", "scale"),
    ],
)
def test_a_parameter_belongs_to_a_layer(name, layer):
    assert layer_of(name) == layer
