"""The one LightningModule against a loop written by hand."""

from copy import deepcopy
from functools import partial
from itertools import pairwise

import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import accuracy_score

from mtl.data.kinds.tagging import IGNORED
from mtl.model.lstm import LSTM
from mtl.model.multitask import MultiTaskModel
from mtl.prompts.keyword import Keyword
from mtl.strategies.switching.composition.homogeneous import Homogeneous
from mtl.strategies.switching.composition.stratified import Stratified
from mtl.strategies.switching.order.joint import Joint
from mtl.strategies.switching.order.round_robin import RoundRobin
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.rate.loss_ratio import LossRatio
from mtl.strategies.switching.rate.uniform import Uniform
from mtl.strategies.weighting.fixed import Fixed
from mtl.strategies.weighting.uncertainty import Uncertainty
from mtl.strategies.weighting.upgrad import UPGrad
from mtl.training.feedback import TellPlan
from mtl.training.loaders import EvaluationLoader, StepLoader
from mtl.training.module import MultiTaskModule

pytestmark = pytest.mark.filterwarnings("ignore")
ADAM = partial(torch.optim.Adam, lr=0.01)
JOINT, ROUND_ROBIN = (Stratified, Joint), (Homogeneous, RoundRobin)
NAMES = ("mood", "stars", "topics", "tags")


@pytest.fixture(scope="module")
def tasks(four_kinds, announced):
    return announced(four_kinds(), Keyword())[0]


def module(tasks, weighting=Fixed, optimizer=ADAM, steps=3):
    torch.manual_seed(0)
    known = {name: task.labelled.task for name, task in tasks.items()}
    kinds = {name: task.kind for name, task in known.items()}
    model = MultiTaskModel(LSTM(40, per_token=True, units=8, embedding=6), kinds)
    return MultiTaskModule(
        model, known, weighting({name: kind.name for name, kind in kinds.items()}), optimizer, steps, {"seed": 3}
    )


def loader(tasks, switching=JOINT, steps=3):
    sizes = {name: len(task.labelled.rows["train"]) for name, task in tasks.items()}
    return StepLoader(tasks, Plan(sizes, 4, steps, 0, *switching, Uniform), 0)


def trainer(steps=3, **options):
    return pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def by_hand(model, tasks, batches, log_variances):
    """Kendall's total loss and one Adam for each of the two groups of parameters."""
    optimizers = [
        torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.1),
        torch.optim.Adam(log_variances, lr=0.025),
    ]
    for batch in batches:
        outputs, total = model(batch), torch.zeros(())
        for name, s in zip(NAMES, log_variances, strict=True):
            if name in batch.tasks:
                loss = tasks[name].labelled.task.kind.loss(outputs[name], batch.tasks[name].targets)
                total = total + loss * (-s).exp() * (0.5 if name == "stars" else 1) + s / 2
        for optimizer in optimizers:
            optimizer.zero_grad()
        total.backward()
        for optimizer in optimizers:
            optimizer.step()


@pytest.mark.parametrize("switching", [JOINT, ROUND_ROBIN])
@pytest.mark.parametrize("steps", [1, 6])
def test_training_equals_the_loop_by_hand_parameter_by_parameter(tasks, switching, steps):
    made = module(tasks, Uncertainty, partial(torch.optim.Adam, lr=0.01, weight_decay=0.1), steps)
    model = deepcopy(made.model)
    log_variances = [torch.zeros((), requires_grad=True) for _ in NAMES]
    begun = [parameter.detach().clone() for parameter in model.parameters()]
    trainer(steps).fit(made, loader(tasks, switching, steps))
    by_hand(model, tasks, loader(tasks, switching, steps), log_variances)
    for (name, ours), theirs in zip(made.model.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6, msg=name)
    for ours, theirs in zip(made.weighting.parameters(), log_variances, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    assert not all(torch.equal(a, b) for a, b in zip(begun, model.parameters(), strict=True))


@pytest.mark.parametrize("fused", [False, True])
def test_the_head_of_an_absent_task_does_not_move_by_a_bit(tasks, fused):
    """Adam's momentum and weight decay would move it, had its gradient been zero instead of absent."""
    made = module(tasks, Uncertainty, partial(torch.optim.Adam, lr=0.01, weight_decay=0.1, fused=fused), steps=8)
    states = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            own = dict(zip(NAMES, pl_module.weighting.log_variances, strict=True))
            states.append((set(batch.tasks), {name: weights(made.model.heads[name], own[name]) for name in NAMES}))

    trainer(8, callbacks=[Watch()]).fit(made, loader(tasks, ROUND_ROBIN, 8))
    for (_, before), (present, after) in pairwise(states):
        moved = {name for name in NAMES if not torch.equal(before[name], after[name])}
        assert moved == present
        assert len(present) == 1


def weights(head, own):
    return torch.cat([parameter.detach().flatten() for parameter in (*head.parameters(), own)])


def test_the_weighting_has_its_own_learning_rate_and_no_decay(tasks):
    made = module(tasks, Uncertainty, partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1))
    model, own = made.configure_optimizers().param_groups
    assert (model["lr"], model["weight_decay"]) == (0.01, 0.1)
    assert (own["lr"], own["weight_decay"]) == (0.025, 0)
    assert [id(p) for p in own["params"]] == [id(p) for p in made.weighting.parameters()]
    assert len(model["params"]) + len(own["params"]) == len(list(made.parameters()))
    assert len(module(tasks).configure_optimizers().param_groups) == 1


def test_the_weighting_is_told_the_steps_tasks_detached_losses_and_where_the_run_stands(tasks):
    told = []

    class Told(Fixed):
        def forward(self, signals):
            told.append(signals)
            return super().forward(signals)

    trainer(5).fit(module(tasks, Told, steps=5), loader(tasks, ROUND_ROBIN, 5))
    assert [signals.tasks.tolist() for signals in told] == [[0], [1], [2], [3], [0]]
    assert [signals.step for signals in told] == [0, 1, 2, 3, 4]
    assert {signals.total_steps for signals in told} == {5}
    assert not any(signals.losses.requires_grad for signals in told)


@pytest.mark.parametrize("tokens", [15, 60, 10_000])
def test_losses_and_metrics_of_an_evaluation_do_not_depend_on_its_batches(tasks, tokens):
    made = module(tasks)
    (said,) = trainer().test(made, EvaluationLoader(tasks, "test", tokens), verbose=False)
    whole = next(iter(EvaluationLoader({"mood": tasks["mood"]}, "test", 10**6)))
    with torch.no_grad():
        made.eval()
        found = made.model(whole)["mood"].argmax(1)
        assert said["test/mood/accuracy"] == pytest.approx(accuracy_score(whole.tasks["mood"].targets, found))
        for name, task in tasks.items():
            batch = next(iter(EvaluationLoader({name: task}, "test", 10**6)))
            loss = task.labelled.task.kind.loss(made.model(batch)[name], batch.tasks[name].targets)
            assert said[f"test/{name}/loss"] == pytest.approx(float(loss), rel=1e-5)
    assert (whole.tasks["mood"].targets != IGNORED).all()


def test_the_score_is_the_mean_of_primary_metrics_the_greater_the_better(tasks):
    (said,) = trainer().validate(module(tasks), EvaluationLoader(tasks, "val"), verbose=False)
    primary = [said["val/mood/accuracy"], -said["val/stars/rmse"], said["val/topics/micro_f1"], said["val/tags/f1"]]
    assert said["val/score"] == pytest.approx(sum(primary) / 4, rel=1e-5)


def test_a_checkpoint_carries_what_it_was_given(tasks):
    checkpoint = {}
    module(tasks).on_save_checkpoint(checkpoint)
    assert checkpoint["mtl"] == {"seed": 3}


def test_an_adaptive_rate_is_told_the_losses_of_its_block_and_the_scores_of_the_validation(tasks):
    sizes = {name: len(task.labelled.rows["train"]) for name, task in tasks.items()}
    made = Plan(sizes, 4, 6, 0, *JOINT, LossRatio, block=3)
    seen = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            seen.append(dict(zip(tasks, pl_module.told.losses.tolist(), strict=True)))

    fitted, trained = module(tasks, steps=6), trainer(6, callbacks=[TellPlan(made), Watch()])
    trained.fit(fitted, StepLoader(tasks, made, 0))
    by_hand = [sum(step[name] for step in seen[:3]) / 3 for name in tasks]
    torch.testing.assert_close(made.rate.first, torch.tensor(by_hand).double(), rtol=1e-5, atol=0)
    rest = made.tally.take(made.rates)
    by_hand = [sum(step[name] for step in seen[3:]) / 3 for name in tasks]
    torch.testing.assert_close(rest.losses, torch.tensor(by_hand).double(), rtol=1e-5, atol=0)
    assert rest.rows.tolist() == [12] * len(tasks)
    assert bool((rest.seconds > 0).all())
    trained.validate(fitted, EvaluationLoader(tasks, "val"), verbose=False)
    for place, (name, task) in enumerate(tasks.items()):
        kind = task.labelled.task
        score = float(trained.callback_metrics[f"val/{name}/{kind.metric}"])
        assert float(made.tally.scores[place]) == pytest.approx(score if kind.higher_is_better else -score)


def test_no_gradient_of_the_last_step_stands_beside_those_of_the_tasks(tasks, monkeypatch):
    from mtl.training import module as file

    made, left, weigh = module(tasks, UPGrad), [], file.weigh_gradients

    def watched(model, *rest):
        left.append([name for name, parameter in model.named_parameters() if parameter.grad is not None])
        return weigh(model, *rest)

    monkeypatch.setattr(file, "weigh_gradients", watched)
    trainer().fit(made, loader(tasks))
    assert left == [[], [], []]
