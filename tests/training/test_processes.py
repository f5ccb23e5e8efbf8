"""Two processes that share each step's rows train the model that one process trains on all of them."""

from functools import partial
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy

from mtl.errors import MtlError
from mtl.prompts.keyword import Keyword
from mtl.strategies.switching.composition.mixed import Mixed
from mtl.strategies.switching.composition.stratified import Stratified
from mtl.strategies.switching.order.joint import Joint
from mtl.strategies.switching.order.shuffled import Shuffled
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.rate.loss_ratio import LossRatio
from mtl.strategies.switching.rate.uniform import Uniform
from mtl.strategies.weighting.dwa import DynamicWeightAverage
from mtl.strategies.weighting.grad_drop import GradDrop
from mtl.strategies.weighting.mgda import MGDA
from mtl.strategies.weighting.pcgrad import PCGrad
from mtl.strategies.weighting.rlw import RandomLossWeighting
from mtl.strategies.weighting.uncertainty import Uncertainty
from mtl.strategies.weighting.upgrad import UPGrad
from mtl.training.adatask import AdaTask
from mtl.training.feedback import TellPlan
from mtl.training.loaders import EvaluationLoader, StepLoader
from tests.training.test_module import module

pytestmark = pytest.mark.filterwarnings("ignore")
SGD = partial(torch.optim.SGD, lr=0.1)
QUIET = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)


def loader(tasks, batch_size=5, composition=Stratified, order=Joint, rate=Uniform):
    sizes = {name: len(task.labelled.rows["train"]) for name, task in tasks.items()}
    return StepLoader(tasks, Plan(sizes, batch_size, 3, 0, composition, order, rate), 0)


def fit(made, rows, processes, callbacks=(), validation=None):
    """Train three steps; the children's model, buffers and scores come back from the first of them."""
    strategy = DDPStrategy(process_group_backend="gloo", start_method="fork", find_unused_parameters=True)
    strategy = "auto" if processes == 1 else strategy
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy=strategy,
        max_steps=3,
        max_epochs=1,
        use_distributed_sampler=False,
        callbacks=list(callbacks),
        num_sanity_val_steps=0,
        **QUIET,
    )
    trainer.fit(made, rows, validation)
    return made, trainer.callback_metrics


class Diverge(pl.Callback):
    """The processes' random numbers are not alike, as after a dropout on other shapes."""

    def on_train_start(self, trainer, pl_module):
        torch.manual_seed(pl_module.global_rank)
        chance = getattr(pl_module.weighting, "chance", None)
        if chance is not None and pl_module.global_rank:
            chance.generator.manual_seed(9)

    def on_train_end(self, trainer, pl_module):
        """Each row once: had both read all rows, the model would be the same, and half of the work in vain."""
        assert pl_module.steplog.rows == trainer.train_dataloader.used["rows"]


KEYWORD = {"prompt": Keyword()}
"""Each task reads its own inputs, and goes through the trunk alone."""
ONE_ROW = {"batch_size": 2, "composition": Mixed, "order": Shuffled}
"""Steps with a single row of a task, which only one of the processes has."""
CASES = {
    "dwa": (DynamicWeightAverage, {}, {}, {}),
    "rlw": (RandomLossWeighting, {}, {}, {}),
    "uncertainty": (Uncertainty, {}, ONE_ROW, KEYWORD),
    "upgrad": (UPGrad, {}, {}, {}),
    "upgrad apart": (UPGrad, {}, ONE_ROW, KEYWORD),
    "upgrad in parts": (UPGrad, {"accumulate": 2}, {}, KEYWORD),
    "pcgrad at features": (PCGrad, {"gradients": "features"}, {}, {}),
    "features in parts": (MGDA, {"gradients": "features", "accumulate": 2}, {}, {}),
    "mgda at the last layer": (MGDA, {"gradients": "last_layer", "weight_heads": True}, {}, {}),
    "grad_drop": (GradDrop, {}, {}, {}),
    "grad_drop apart, in parts": (GradDrop, {"accumulate": 2}, ONE_ROW, KEYWORD),
    "adatask": (UPGrad, {}, {}, {"optimizer": lambda groups: AdaTask(groups, lr=0.01, eps=1e-2)}),
}


@pytest.mark.parametrize("name", CASES)
def test_two_processes_are_one(name, four_kinds, announced):
    weighting, options, rows, how = CASES[name]
    tasks, _ = announced(four_kinds(), how.get("prompt"))
    runs = []
    for processes in (1, 2):
        made = module(tasks, weighting, how.get("optimizer", SGD))
        for key, value in options.items():
            setattr(made, key, value)
        begun = made.state_dict()["model.trunk.embedding.weight"].clone()
        runs.append(fit(made, loader(tasks, **rows), processes, [Diverge()])[0].state_dict())
    one, two = runs
    assert not torch.allclose(begun, two["model.trunk.embedding.weight"])
    for key, tensor in one.items():
        if "chance" not in key:
            torch.testing.assert_close(two[key], tensor, rtol=1e-5, atol=1e-6, equal_nan=True, msg=key)


def test_the_scores_of_two_processes_are_those_of_one(four_kinds, announced):
    tasks, _ = announced(four_kinds(), None)
    validation = EvaluationLoader(tasks, "val", 40)
    one, two = (fit(module(tasks, UPGrad, SGD), loader(tasks), n, validation=validation)[1] for n in (1, 2))
    assert set(one) == set(two)
    assert len(one) > len(tasks)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_step_has_a_task_that_one_process_lacks(four_kinds, announced):
    tasks, _ = announced(four_kinds(), Keyword())
    rows = loader(tasks, **ONE_ROW)
    rows.rank, rows.world = 1, 2
    assert any(len(batch.tasks) < len(other.tasks) for batch, other in zip(rows, loader(tasks, **ONE_ROW), strict=True))


def test_a_step_with_fewer_rows_than_processes_is_one_line_on_all_of_them(four_kinds, announced):
    tasks, _ = announced(four_kinds(), None)
    for rank in (0, 1):
        rows = loader(tasks, batch_size=1)
        rows.rank, rows.world = rank, 2
        with pytest.raises(MtlError, match=r"a row for each of 2 processes\. Found 1 in step 0"):
            next(iter(rows))


@pytest.mark.parametrize(
    ("gradients", "strategy", "said"),
    [
        ("features", DDPStrategy(), "GradDrop needs gradients=shared for several processes"),
        ("shared", object(), "strategy should be DDP for several processes. Found object"),
    ],
)
def test_what_processes_cannot_agree_on_is_one_line(gradients, strategy, said, four_kinds, announced):
    made = module(announced(four_kinds(), None)[0], GradDrop)
    made.gradients = gradients
    made._trainer = SimpleNamespace(world_size=2, strategy=strategy, accumulate_grad_batches=1, precision="32-true")
    with pytest.raises(MtlError, match=said):
        made.on_fit_start()


def test_an_adaptive_rate_is_refused(four_kinds, announced):
    rows = loader(announced(four_kinds(), None)[0], rate=LossRatio)
    with pytest.raises(MtlError, match=r"an adaptive rate needs one process\. Found 2"):
        TellPlan(rows.plan).on_fit_start(SimpleNamespace(world_size=2), None)
