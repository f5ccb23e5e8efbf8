"""Moments for each task, and parameters of absent tasks, against loops written by hand."""

from functools import partial
from itertools import pairwise

import pytest
import pytorch_lightning as pl
import torch

from mtl.errors import MtlError
from mtl.strategies.weighting.equal import Equal
from mtl.strategies.weighting.fixed import Fixed
from mtl.strategies.weighting.grad_drop import GradDrop
from mtl.strategies.weighting.uncertainty import Uncertainty
from mtl.strategies.weighting.upgrad import UPGrad
from mtl.training.adatask import AdaTask
from tests.training.test_gradients import KINDS, TASKS, batch_of, model_of
from tests.training.test_step_options import module

pytestmark = pytest.mark.filterwarnings("ignore")
ADATASK = partial(AdaTask, lr=0.01)
STEPS = ["abc", "ab", "c", "abc", "a", "bc"]


def only(batch, names):
    return type(batch)(batch.ids, batch.lengths, {name: batch.tasks[name] for name in names})


def fit(weighting, optimizer, steps, callbacks=(), gradients="shared", **options):
    made = module(weighting, gradients=gradients)
    made.make_optimizer = optimizer
    loader = torch.utils.data.DataLoader([only(batch_of(), names) for names in steps], batch_size=None)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    plain = {"accelerator": "cpu", "max_steps": len(steps), "max_epochs": 1}
    pl.Trainer(**plain, **quiet, callbacks=list(callbacks), **options).fit(made, loader)
    return made


def by_hand(steps, weights, lr=0.01):
    """One torch Adam for each task on a copy of the trunk, whose moves are added up; one for each head."""
    model, moments = model_of("lstm"), {}
    for names in steps:
        batch = only(batch_of(), names)
        outputs = model(batch)
        losses = {name: KINDS[name].loss(outputs[name], rows.targets) for name, rows in batch.tasks.items()}
        trunk, moves = list(model.trunk.parameters()), []
        for name, loss in losses.items():
            parameters = trunk + list(model.heads[name].parameters())
            gradients = torch.autograd.grad(weights[name] * loss, parameters, retain_graph=True)
            if name not in moments:
                copies = [torch.nn.Parameter(p.detach().clone()) for p in parameters]
                moments[name] = copies, torch.optim.Adam(copies, lr=lr)
            copies, adam = moments[name]
            for copy, parameter, gradient in zip(copies, parameters, gradients, strict=True):
                copy.data.copy_(parameter.data)
                copy.grad = gradient
            adam.step()
            moves.append([(p, c.detach() - p.detach()) for p, c in zip(parameters, copies, strict=True)])
        with torch.no_grad():
            for parameter, move in (pair for pairs in moves for pair in pairs):
                parameter.add_(move)
    return model


@pytest.mark.parametrize("weights", [None, [0.2, 2.0, 1.0]])
def test_is_an_adam_for_each_task_whose_moves_are_added_up(weights):
    weighting = Equal(TASKS) if weights is None else Fixed(TASKS, weights)
    found = fit(weighting, ADATASK, STEPS).model
    wanted = by_hand(STEPS, dict(zip("abc", weights or [1 / 3] * 3, strict=True)))
    for one, other in zip(found.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_of_one_task_is_adamw():
    steps = ["a"] * 4
    one, other = (
        fit(Equal(TASKS), partial(cls, lr=0.01, weight_decay=0.1), steps).model for cls in (AdaTask, torch.optim.AdamW)
    )
    for found, wanted in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_under_a_gramian_method_the_weighted_gradients_go_in():
    """Their sum is what the gradient is."""
    parts = []

    class Watch(pl.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            for parameter in pl_module.model.trunk.parameters():
                shares = [share for _, share in optimizer.per_task[parameter]]
                parts.append((torch.stack(shares).sum(0), parameter.grad.clone(), len(shares)))

    made = fit(UPGrad(TASKS), ADATASK, ["abc", "ac"], [Watch()])
    assert made._per_task == {}
    assert [count for *_, count in parts] == [3] * (len(parts) // 2) + [2] * (len(parts) // 2)
    for total, gradient, _ in parts:
        torch.testing.assert_close(total, gradient)


def test_the_gradients_are_those_of_any_optimiser_under_a_weighting_of_losses():
    """Of heads too: the weights stand before everything there."""
    one, other = (module(Fixed(TASKS, [0.2, 2.0, 1.0])) for _ in range(2))
    one.make_optimizer = ADATASK
    one.configure_optimizers()
    for made in (one, other):
        made.training_step(batch_of(), 0).backward()
    assert len(one._per_task) == len(list(one.model.trunk.parameters()))
    for found, wanted in zip(one.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(found.grad, wanted.grad)


def test_a_weighting_that_learns_does_so_as_under_any_optimiser():
    first = [fit(Uncertainty(TASKS), partial(cls, lr=0.01), ["abc"]).weighting for cls in (AdaTask, torch.optim.Adam)]
    one, other = (torch.stack(list(made.parameters())) for made in first)
    assert (one.abs() > 0.005).all()
    torch.testing.assert_close(one, other)


def test_its_memory_is_in_its_state():
    """What a checkpoint keeps: the last three steps after a reload are those without one."""
    whole = fit(Equal(TASKS), ADATASK, STEPS)
    half = fit(Equal(TASKS), ADATASK, STEPS[:3])
    state = half.trainer.optimizers[0].state_dict()

    class Reload(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            pl_module.model.load_state_dict(half.model.state_dict())
            trainer.optimizers[0].load_state_dict(state)

    resumed = fit(Equal(TASKS), ADATASK, STEPS[3:], [Reload()])
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("weighting", "options", "said"),
    [
        (GradDrop, {}, "optimizer=adatask needs .* GradDrop"),
        (UPGrad, {"gradients": "features"}, "optimizer=adatask needs .*gradients=features"),
        (Equal, {"gradient_clip_val": 1.0}, "gradient_clip_val should be null"),
    ],
)
def test_is_one_line_where_it_has_no_meaning(weighting, options, said):
    with pytest.raises(MtlError, match=said):
        fit(weighting(TASKS), ADATASK, ["abc"], **options)


def test_stops_at_a_wrong_option():
    with pytest.raises(ValueError, match="`betas`"):
        AdaTask([torch.nn.Parameter(torch.zeros(1))], betas=(0.9, 1.0))


# absent tasks


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1),
        partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1, fused=True),
        partial(AdaTask, lr=0.01, weight_decay=0.1),
    ],
)
@pytest.mark.parametrize("weighting", [Equal, UPGrad, GradDrop])
def test_the_head_of_an_absent_task_does_not_move_by_a_bit(optimizer, weighting):
    """Momentum and decay would move it, had its gradient been zero instead of absent."""
    if weighting is GradDrop and optimizer.func is AdaTask:
        pytest.skip("refused")
    kept = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            heads = pl_module.model.heads
            kept.append((set(batch.tasks), {n: [p.detach().clone() for p in heads[n].parameters()] for n in heads}))

    fit(weighting(TASKS), optimizer, STEPS, [Watch()])
    for (_, before), (present, after) in pairwise(kept):
        for name in TASKS:
            same = all(torch.equal(*pair) for pair in zip(before[name], after[name], strict=True))
            assert same == (name not in present)
