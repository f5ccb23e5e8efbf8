"""Transforms, weighted heads and losses that are not finite, through the module's own step."""

from types import SimpleNamespace

import pytest
import torch

from mtl.errors import MtlError
from mtl.strategies.transform.log import Log
from mtl.strategies.transform.zscore import InitialUnits
from mtl.strategies.weighting.adjusted import adjusted
from mtl.strategies.weighting.gls import GeometricLoss
from mtl.strategies.weighting.grad_drop import GradDrop
from mtl.strategies.weighting.mgda import MGDA
from mtl.strategies.weighting.uncertainty import Uncertainty
from mtl.strategies.weighting.upgrad import UPGrad
from mtl.training.module import MultiTaskModule
from tests.training.test_gradients import KINDS, TASKS, batch_of, model_of


def module(weighting, **options):
    tasks = {name: SimpleNamespace(kind=kind) for name, kind in KINDS.items()}
    made = MultiTaskModule(model_of("lstm"), tasks, weighting, torch.optim.SGD, 10, {}, **options)
    made._trainer = SimpleNamespace(train_dataloader=None, global_step=0)
    return made


def plain(model, batch):
    """Losses, and gradients of the trunk (K x N) and of each head, by autograd alone."""
    outputs = model(batch)
    losses = [KINDS[name].loss(outputs[name], rows.targets) for name, rows in batch.tasks.items()]
    trunk = list(model.trunk.parameters())
    rows = [torch.cat([g.flatten() for g in torch.autograd.grad(loss, trunk, retain_graph=True)]) for loss in losses]
    heads = {
        name: torch.autograd.grad(loss, list(model.heads[name].parameters()), retain_graph=True)
        for name, loss in zip(batch.tasks, losses, strict=True)
    }
    return torch.stack(losses).detach(), torch.stack(rows), heads


def grads(made):
    return torch.cat([parameter.grad.flatten() for parameter in made.model.trunk.parameters()])


def on_head(made, name):
    return [parameter.grad for parameter in made.model.heads[name].parameters()]


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("where", ["shared", "features", "last_layer"])
def test_the_transforms_slopes_reach_the_gramian_the_trunk_the_heads_and_the_record(where, apart):
    if where == "features" and apart:
        pytest.skip("no features in common")
    batch = batch_of(apart)
    made = module(UPGrad(TASKS), transform=Log(TASKS, eps=0), gradients=where)
    total = made.training_step(batch, 0)
    total.backward()
    losses, rows, heads = plain(made.model, batch)
    slopes = 1 / losses
    _, gramian = made.gramian
    if where == "shared":
        torch.testing.assert_close(gramian, (slopes[:, None] * rows) @ (slopes[:, None] * rows).T)
    weights = UPGrad(TASKS)(SimpleNamespace(require_gramian=lambda: gramian))
    torch.testing.assert_close(grads(made), (weights * slopes) @ rows, rtol=1e-4, atol=1e-6)
    assert float(total.detach()) == pytest.approx(float(weights @ losses.log()), rel=1e-5)
    for place, name in enumerate(batch.tasks):
        for found, head in zip(on_head(made, name), heads[name], strict=True):
            torch.testing.assert_close(found, slopes[place] * head)
    kept = made.steplog.take()
    for place, name in enumerate(batch.tasks):
        assert kept[name] == pytest.approx((float(losses[place]), float(weights[place] * slopes[place])), rel=1e-5)


def test_a_learned_weighting_learns_from_the_transformed_losses():
    made, batch = module(Uncertainty(TASKS), transform=InitialUnits(TASKS)), batch_of()
    made.transform.slopes(torch.arange(3), torch.tensor([2.0, 4.0, 8.0]))
    with torch.no_grad():
        for place, parameter in enumerate(made.weighting.parameters()):
            parameter.fill_(0.1 * place)
    total = made.training_step(batch, 0)
    total.backward()
    losses, rows, _ = plain(made.model, batch)
    units, s = torch.tensor([2.0, 4.0, 8.0]), torch.tensor([0.0, 0.1, 0.2], requires_grad=True)
    wanted = ((-s).exp() * losses / units + s / 2).sum()
    wanted.backward()
    assert float(total.detach()) == pytest.approx(float(wanted.detach()))
    torch.testing.assert_close(torch.stack([p.grad for p in made.weighting.parameters()]), s.grad)
    torch.testing.assert_close(grads(made), ((-s).exp().detach() / units) @ rows, rtol=1e-4, atol=1e-6)
    assert made.steplog.take()["b"] == pytest.approx((float(losses[1]), float((-s[1]).exp().detach()) / 4), rel=1e-5)


@pytest.mark.parametrize("weight_heads", [False, True])
def test_heads_learn_from_their_own_loss_or_from_its_weighted_one(weight_heads):
    made, batch = module(adjusted(UPGrad(TASKS), "sum"), weight_heads=weight_heads), batch_of()
    made.training_step(batch, 0).backward()
    _, rows, heads = plain(made.model, batch)
    weights = 3 * UPGrad(TASKS)(SimpleNamespace(require_gramian=lambda: rows @ rows.T))
    torch.testing.assert_close(grads(made), weights @ rows, rtol=1e-4, atol=1e-6)
    for place, name in enumerate(batch.tasks):
        for found, head in zip(on_head(made, name), heads[name], strict=True):
            torch.testing.assert_close(found, (weights[place] if weight_heads else 1) * head, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("where", ["shared", "features", "last_layer"])
def test_9_a_weighting_of_losses_trains_the_trunk_wherever_others_take_gradients(where):
    """LibMTL's rep_grad detaches the features then, and the encoder never learns."""
    made, batch = module(adjusted(Uncertainty(TASKS), "mean"), gradients=where), batch_of()
    made.training_step(batch, 0).backward()
    _, rows, _ = plain(made.model, batch)
    torch.testing.assert_close(grads(made), rows.mean(0), rtol=1e-4, atol=1e-6)
    assert all(parameter.grad.abs().sum() > 0 for parameter in made.model.trunk.parameters())


# losses that are not finite


def broken(made, name, what):
    """The task's loss, or only its gradient, is nan."""
    kind = made.tasks[name].kind

    def loss(outputs, targets):
        found = kind.loss(outputs, targets)
        return found * torch.nan if what == "loss" else Spoilt.apply(found)

    made.tasks[name] = SimpleNamespace(kind=SimpleNamespace(loss=loss))
    return made


class Spoilt(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * torch.nan


CASES = [
    (Uncertainty, "loss", "shared"),
    (UPGrad, "loss", "shared"),
    (UPGrad, "loss", "features"),
    (UPGrad, "gradient", "shared"),
    (UPGrad, "gradient", "features"),
    (MGDA, "gradient", "last_layer"),
]


@pytest.mark.parametrize(("cls", "what", "where"), CASES)
def test_a_task_that_is_not_finite_is_named(cls, what, where):
    made = broken(module(cls(TASKS), gradients=where), "b", what)
    with pytest.raises(MtlError, match=rf"task b: the {what} is nan.* in step 0; on_nan=skip"):
        made.training_step(batch_of(), 0)


@pytest.mark.parametrize(("cls", "what", "where"), CASES)
def test_a_task_that_is_not_finite_is_left_out_of_its_step_and_counted(cls, what, where):
    made, batch = broken(module(cls(TASKS), gradients=where, on_nan="skip"), "b", what), batch_of()
    total = made.training_step(batch, 0)
    total.backward()
    assert made.skipped.tolist() == [0, 1, 0]
    assert set(made.steplog.take()) == {"a", "c"}
    assert all(gradient is None for gradient in on_head(made, "b"))
    others = module(cls(TASKS), gradients=where)
    rest = type(batch)(batch.ids, batch.lengths, {name: batch.tasks[name] for name in "ac"})
    others.training_step(rest, 0).backward()
    torch.testing.assert_close(grads(made), grads(others))
    for name in "ac":
        torch.testing.assert_close(on_head(made, name), on_head(others, name))
    assert made.state_dict()["skipped"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("cls", [Uncertainty, UPGrad])
def test_a_step_without_a_finite_task_is_none(cls):
    made = module(cls(TASKS), on_nan="skip")
    for name in "abc":
        broken(made, name, "loss")
    assert made.training_step(batch_of(), 0) is None
    assert made.skipped.tolist() == [1, 1, 1]


def test_a_loss_that_the_transform_cannot_take_is_named_with_its_value():
    made = module(Uncertainty(TASKS), transform=Log(TASKS))
    kind = made.tasks["c"].kind
    made.tasks["c"] = SimpleNamespace(kind=SimpleNamespace(loss=lambda *given: kind.loss(*given) * 0 - 3))
    with pytest.raises(MtlError, match=r"task c: the loss is nan after the transform \(before it: -3\) in step 0"):
        made.training_step(batch_of(), 0)


def test_a_weighting_that_cannot_take_a_loss_below_zero_stops_before_it_spoils_the_model():
    made = module(GeometricLoss(TASKS))
    kind = made.tasks["c"].kind
    made.tasks["c"] = SimpleNamespace(kind=SimpleNamespace(loss=lambda *given: kind.loss(*given) * 0 - 3))
    with pytest.raises(MtlError, match=r"GeometricLoss has no finite weight for task a in step 0.*c -3"):
        made.training_step(batch_of(), 0)


# where the Gramian is taken


def test_at_the_last_layer_the_gramian_is_over_its_parameters():
    made, batch = module(MGDA(TASKS), gradients="last_layer"), batch_of()
    made.training_step(batch, 0).backward()
    outputs = made.model(batch)
    last = [*made.model.trunk.forwards.parameters(), *made.model.trunk.backwards.parameters()]
    losses, rows, _ = plain(made.model, batch)
    J = []
    for name, share in batch.tasks.items():
        loss = KINDS[name].loss(outputs[name], share.targets)
        J.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, last, retain_graph=True)]))
    J = torch.stack(J)
    torch.testing.assert_close(made.gramian[1], J @ J.T)
    weights = MGDA(TASKS)(SimpleNamespace(require_gramian=lambda: J @ J.T, losses=losses))
    torch.testing.assert_close(grads(made), weights @ rows, rtol=1e-4, atol=1e-6)


def test_a_prompt_is_the_parameters_that_are_named_so():
    with pytest.raises(MtlError, match="gradients=prompt needs a model with prompt parameters that train"):
        module(MGDA(TASKS), gradients="prompt")
    model = model_of("lstm")
    model.trunk.prompts = torch.nn.Embedding(2, 6)
    embedding = model.trunk.embedding
    model.trunk.embedding = torch.nn.Module()
    model.trunk.embedding.forward = lambda ids: embedding(ids) + model.trunk.prompts.weight[1]
    model.trunk.words = embedding
    tasks = {name: SimpleNamespace(kind=kind) for name, kind in KINDS.items()}
    made = MultiTaskModule(model, tasks, MGDA(TASKS), torch.optim.SGD, 10, {}, "prompt")
    made._trainer = SimpleNamespace(train_dataloader=None, global_step=0)
    batch = batch_of()
    made.training_step(batch, 0).backward()
    outputs, J = model(batch), []
    for name, share in batch.tasks.items():
        loss = KINDS[name].loss(outputs[name], share.targets)
        J.append(torch.autograd.grad(loss, model.trunk.prompts.weight, retain_graph=True)[0].flatten())
    torch.testing.assert_close(made.gramian[1], torch.stack(J) @ torch.stack(J).T)


def test_a_trunk_that_does_not_train_is_one_line_before_the_step():
    model = model_of("lstm")
    model.trunk.requires_grad_(False)
    tasks = {name: SimpleNamespace(kind=kind) for name, kind in KINDS.items()}
    with pytest.raises(MtlError, match="needs a model with shared parameters that train"):
        MultiTaskModule(model, tasks, MGDA(TASKS), torch.optim.SGD, 10, {})


def fit(weighting, **options):
    import pytorch_lightning as pl

    made = module(weighting)
    loader = torch.utils.data.DataLoader([batch_of()] * 4, batch_size=None)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    made.make_optimizer = lambda groups: torch.optim.SGD(groups, lr=0.1)
    pl.Trainer(accelerator="cpu", max_steps=2, max_epochs=1, **quiet, **options).fit(made, loader)
    return torch.cat([parameter.detach().flatten() for parameter in made.model.parameters()])


@pytest.mark.filterwarnings("ignore")
def test_accumulating_whole_steps_is_refused():
    with pytest.raises(MtlError, match=r"accumulate_grad_batches should be 1.*Found 2"):
        fit(MGDA(TASKS), accumulate_grad_batches=2)


@pytest.mark.filterwarnings("ignore")
def test_clipping_and_bf16_act_on_the_combined_gradient():
    begun = torch.cat([parameter.detach().flatten() for parameter in model_of("lstm").parameters()])
    free, clipped, rough = fit(UPGrad(TASKS)), fit(UPGrad(TASKS), gradient_clip_val=1e-3), None
    rough = fit(UPGrad(TASKS), precision="bf16-mixed")
    assert (clipped - begun).norm() <= 2 * 0.1 * 1e-3 * 1.001
    assert (free - begun).norm() > 1e-3
    assert torch.cosine_similarity(free - begun, rough - begun, dim=0) > 0.98


@pytest.mark.parametrize("cls", [UPGrad, GradDrop, Uncertainty])
def test_weights_are_found_in_full_precision_also_under_autocast(cls):
    """bfloat16 keeps 8 bits of a product: a Gramian of it is wrong in the third digit."""
    seen = []

    class Spy(cls):
        def forward(self, signals):
            seen.append((torch.is_autocast_enabled("cpu"), signals))
            return super().forward(signals)

        def combine(self, signals):
            seen.append((torch.is_autocast_enabled("cpu"), signals))
            return super().combine(signals)

    made = module(Spy(TASKS))
    with torch.autocast("cpu", torch.bfloat16):
        made.training_step(batch_of(), 0)
        assert torch.is_autocast_enabled("cpu")
    assert not any(cast for cast, _ in seen)
    for _, signals in seen:
        if signals.jacobian is not None:
            rows = signals.jacobian.double()
            torch.testing.assert_close(signals.gramian.double(), rows @ rows.T, rtol=1e-4, atol=1e-6)
