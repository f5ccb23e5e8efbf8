"""The step of a weighting that combines the gradients themselves."""

import pytest
import torch
from torchjd import aggregation

from mtl.errors import MtlError
from mtl.strategies.transform.log import Log
from mtl.strategies.weighting.adjusted import adjusted
from mtl.strategies.weighting.grad_drop import GradDrop
from mtl.strategies.weighting.moco import MoCo
from mtl.strategies.weighting.trimmed_mean import TrimmedMean
from tests.training.test_gradients import KINDS, TASKS, batch_of, model_of, step
from tests.training.test_step_options import broken, grads, module, on_head, plain


def test_at_features_the_direction_goes_back_through_the_trunk_once():
    model, batch, passes = model_of("transformer"), batch_of(), []
    model.trunk.dropout.register_full_backward_hook(lambda *_: passes.append(1))
    step(model, batch, TrimmedMean(TASKS), "features")
    assert len(passes) == 1
    features = model.features(batch)
    outputs = model.outputs(batch, features)
    losses = [KINDS[name].loss(outputs[name], rows.targets) for name, rows in batch.tasks.items()]
    rows = torch.stack([torch.autograd.grad(loss, features, retain_graph=True)[0].flatten() for loss in losses])
    direction = aggregation.TrimmedMean(1)(rows).view_as(features)
    expected = torch.autograd.grad(features, list(model.trunk.parameters()), direction)
    for parameter, gradient in zip(model.trunk.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_every_task_goes_through_the_trunk_once_and_not_again():
    model, batch, passes = model_of("transformer"), batch_of(), []
    model.trunk.dropout.register_full_backward_hook(lambda *_: passes.append(1))
    step(model, batch, GradDrop(TASKS))
    assert len(passes) == len(TASKS)


def test_the_slopes_of_a_transform_the_reduction_and_the_record():
    made, batch = module(adjusted(TrimmedMean(TASKS), "sum"), transform=Log(TASKS, eps=0)), batch_of()
    made.training_step(batch, 0).backward()
    losses, rows, heads = plain(made.model, batch)
    wanted = 3 * aggregation.TrimmedMean(1)(rows / losses[:, None])
    torch.testing.assert_close(grads(made), wanted, rtol=1e-4, atol=1e-6)
    for place, name in enumerate(batch.tasks):
        for found, head in zip(on_head(made, name), heads[name], strict=True):
            torch.testing.assert_close(found, head / losses[place])
    assert made.told.jacobian is None
    assert made.gramian[1].shape == (3, 3)
    assert all(0 < weight * losses[i] < 3 for i, (_, weight) in enumerate(made.steplog.take().values()))


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_task_that_is_not_finite_is_left_out(what):
    made, batch = broken(module(TrimmedMean(TASKS, outliers=0), on_nan="skip"), "b", what), batch_of()
    made.training_step(batch, 0).backward()
    _, rows, _ = plain(model_of("lstm"), batch)
    torch.testing.assert_close(grads(made), rows[[0, 2]].mean(0), rtol=1e-4, atol=1e-6)
    assert made.skipped.tolist() == [0, 1, 0]


@pytest.mark.parametrize("count", [1, 2])
def test_a_step_of_some_of_the_tasks(count):
    made, batch = module(GradDrop(TASKS, leak=1.0)), batch_of()
    some = type(batch)(batch.ids, batch.lengths, {name: batch.tasks[name] for name in list("cab")[:count]})
    made.training_step(some, 0).backward()
    _, rows, _ = plain(made.model, some)
    torch.testing.assert_close(grads(made), rows.sum(0), rtol=1e-4, atol=1e-6)
    assert all(parameter.grad is None for parameter in made.model.heads["b"].parameters())


# where it has no meaning


@pytest.mark.parametrize(
    ("cls", "options", "said"),
    [
        (GradDrop, {"gradients": "last_layer"}, "GradDrop combines the gradients themselves: gradients=last_layer"),
        (MoCo, {"gradients": "features"}, "MoCo remembers gradients"),
        (TrimmedMean, {"weight_heads": True}, "weight_heads should be false for TrimmedMean"),
    ],
)
def test_is_one_line_before_the_step_where_it_has_no_meaning(cls, options, said):
    with pytest.raises(MtlError, match=said):
        module(adjusted(cls(TASKS), "sum"), **options)


def test_a_part_that_is_all_that_trains_will_do():
    """A prompt in front of a frozen trunk, as prompt tuning has it."""
    model = model_of("lstm")
    model.trunk.requires_grad_(False)
    model.trunk.prompts = torch.nn.Embedding(2, 6)
    embedding, prompts = model.trunk.embedding, model.trunk.prompts
    model.trunk.embedding = torch.nn.Module()
    model.trunk.embedding.forward = lambda ids: embedding(ids) + prompts.weight[1]
    made = module(TrimmedMean(TASKS))
    made.model, batch = model, batch_of()
    made.gradients = "prompt"
    made.training_step(batch, 0).backward()
    outputs, rows = model(batch), []
    for name, share in batch.tasks.items():
        loss = made.tasks[name].kind.loss(outputs[name], share.targets)
        rows.append(torch.autograd.grad(loss, prompts.weight, retain_graph=True)[0].flatten())
    wanted = aggregation.TrimmedMean(1)(torch.stack(rows))
    torch.testing.assert_close(prompts.weight.grad.flatten(), wanted)


# through Lightning


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{}, {"precision": "bf16-mixed"}, {"gradient_clip_val": 1e-3}])
@pytest.mark.parametrize("where", ["shared", "features"])
def test_works_under_automatic_optimisation(where, options):
    import pytorch_lightning as pl

    made = module(GradDrop(TASKS), gradients=where)
    made.make_optimizer = lambda groups: torch.optim.SGD(groups, lr=0.1)
    begun = [parameter.detach().clone() for parameter in made.model.parameters()]
    loader = torch.utils.data.DataLoader([batch_of()] * 4, batch_size=None)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    pl.Trainer(accelerator="cpu", max_steps=2, max_epochs=1, **quiet, **options).fit(made, loader)
    moved = [(now - then).norm() for now, then in zip(made.model.parameters(), begun, strict=True)]
    assert all(length > 0 for length in moved)
    if "gradient_clip_val" in options:
        assert torch.stack(moved).norm() <= 2 * 0.1 * 1e-3 * 1.001
