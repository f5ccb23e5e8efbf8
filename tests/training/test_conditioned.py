"""A model that is told a preference: COSMOS from its objective to the losses along the rays."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torchjd import scalarization

from mtl.functional.cosmos import cosmos
from mtl.model.conditioned import Conditioned, named, rays
from mtl.model.lstm import LSTM
from mtl.model.multitask import MultiTaskModel
from mtl.prompts.keyword import Keyword
from mtl.strategies.switching.composition.stratified import Stratified
from mtl.strategies.switching.order.joint import Joint
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.rate.uniform import Uniform
from mtl.strategies.weighting.cosmos import COSMOS
from mtl.training.loaders import EvaluationLoader, StepLoader
from mtl.training.module import MultiTaskModule

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def tasks(four_kinds, announced):
    return announced(four_kinds(), Keyword())[0]


def module(tasks, condition=8):
    torch.manual_seed(0)
    known = {name: task.labelled.task for name, task in tasks.items()}
    kinds = {name: task.kind for name, task in known.items()}
    model = MultiTaskModel(LSTM(40, per_token=True, units=8, embedding=6), kinds, condition=condition)
    weighting = COSMOS({name: kind.name for name, kind in kinds.items()})
    return MultiTaskModule(model, known, weighting, partial(torch.optim.Adam, lr=0.1), 6, {})


def fit(trained, tasks):
    sizes = {name: len(task.labelled.rows["train"]) for name, task in tasks.items()}
    loader = StepLoader(tasks, Plan(sizes, 4, 6, 0, Stratified, Joint, Uniform), 0)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(accelerator="cpu", max_steps=6, max_epochs=1, enable_checkpointing=False, **quiet)
    trainer.fit(trained, loader)
    trainer.validate(trained, EvaluationLoader(tasks, "val"), verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


@pytest.mark.oracle("TorchJD")
@pytest.mark.parametrize("penalty", [0.0, 0.5, 4.0])
def test_weights_are_the_slope_of_torchjds_objective(penalty):
    draw = {"generator": torch.Generator().manual_seed(0), "dtype": torch.float64}
    losses, preference = torch.rand(5, **draw).requires_grad_(), torch.rand(5, **draw)
    scalarization.COSMOS(penalty, preference)(losses).backward()
    torch.testing.assert_close(cosmos(losses.detach(), preference, penalty), losses.grad)
    assert cosmos(torch.zeros(5), preference.float(), penalty).tolist() == preference.float().tolist()


def test_begins_as_a_model_that_hears_nothing_and_learns_to_listen():
    torch.manual_seed(0)
    layer, features = Conditioned(2, 16, 3), torch.randn(5, 3)
    assert torch.equal(layer(features), features)
    layer(features).sum().backward()
    assert layer.layers[-1].weight.grad.abs().sum() > 0


def test_the_model_hears_the_preference_that_weighs_its_losses(tasks):
    trained, heard, weighed = module(tasks), [], []
    trained.model.condition.register_forward_hook(lambda layer, *_: heard.append(layer.preference.clone()))
    trained.weighting.register_forward_pre_hook(lambda weighting, _: weighed.append(weighting.coming[0].clone()))
    fit(trained, tasks)
    assert len(weighed) == 6
    assert all(torch.equal(one, other) for one, other in zip(heard, weighed, strict=False))
    assert not torch.equal(weighed[0], weighed[1])


def test_losses_are_recorded_along_rays_and_the_plain_ones_are_those_of_an_equal_preference(tasks):
    trained = module(tasks)
    found = fit(trained, tasks)
    along = [found[f"val/mood/loss/{named(ray)}"] for ray in rays(4)]
    assert len(set(along)) == 4
    assert trained.model.condition.preference.tolist() == [0.25] * 4
    twin = module(tasks)
    twin.load_state_dict(trained.state_dict())
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    again = trainer.validate(twin, EvaluationLoader(tasks, "val"), verbose=False)[0]
    assert again["val/mood/loss"] == found["val/mood/loss"] not in along


def test_rays_are_even_for_two_tasks_and_lean_to_each_of_more():
    assert [named(ray) for ray in rays(2)] == ["0.1-0.9", "0.3-0.7", "0.5-0.5", "0.7-0.3", "0.9-0.1"]
    assert rays(1) == [(1.0,)]
    assert rays(3)[1] == pytest.approx((0.1, 0.8, 0.1))


def test_a_model_that_cannot_hear_is_one_line(tasks):
    with pytest.raises(ValueError, match=r"COSMOS tells the model a preference. Found a model without `condition`"):
        module(tasks, condition=0)
