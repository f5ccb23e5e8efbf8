"""A step whose rows go through the model in parts is the step of all rows at once."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mtl.data.batch import Batch, TaskRows
from mtl.data.kinds.tagging import IGNORED
from mtl.errors import MtlError
from mtl.strategies.transform.log import Log
from mtl.strategies.weighting.adjusted import adjusted
from mtl.strategies.weighting.dwa import DynamicWeightAverage
from mtl.strategies.weighting.grad_drop import GradDrop
from mtl.strategies.weighting.mgda import MGDA
from mtl.strategies.weighting.nash_mtl import NashMTL
from mtl.strategies.weighting.trimmed_mean import TrimmedMean
from mtl.strategies.weighting.uncertainty import Uncertainty
from mtl.strategies.weighting.upgrad import UPGrad
from mtl.training.adatask import AdaTask
from mtl.training.module import MultiTaskModule
from mtl.training.parts import cut
from tests.training.test_gradients import KINDS, TASKS, batch_of, model_of

QUIET = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
PER_TOKEN = {name: kind.per_token for name, kind in KINDS.items()}


def uneven(apart: bool) -> Batch:
    """Rows of which some have many tags and some have none, so that a mean of the parts' means is another number."""
    batch = batch_of(apart)
    targets = batch.tasks["c"].targets
    targets[0] = IGNORED
    targets[1, 2:] = IGNORED
    return batch


def module(weighting, trunk="lstm", optimizer=None, **options):
    tasks = {name: SimpleNamespace(kind=kind) for name, kind in KINDS.items()}
    sgd = optimizer or (lambda groups: torch.optim.SGD(groups, lr=0.1))
    torch.manual_seed(5)
    return MultiTaskModule(model_of(trunk), tasks, weighting(TASKS), sgd, 10, {}, **options)


def fitted(made, batch, **options):
    """All parameters and buffers after three steps, and what the last one was told."""
    loader = torch.utils.data.DataLoader([batch] * 3, batch_size=None)
    pl.Trainer(accelerator="cpu", max_steps=3, max_epochs=1, **QUIET, **options).fit(made, loader)
    return made.state_dict(), made.told


def assert_alike(one, other):
    (ours, told), (theirs, expected) = one, other
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-5, atol=1e-6, equal_nan=True, msg=name)
    torch.testing.assert_close(told.losses, expected.losses, rtol=1e-5, atol=1e-6)
    if expected.gramian is not None:
        torch.testing.assert_close(told.gramian, expected.gramian, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(
    ("weighting", "options"),
    [
        (DynamicWeightAverage, {}),
        (Uncertainty, {"transform": Log(TASKS)}),
        (UPGrad, {}),
        (UPGrad, {"gradients": "features"}),
        (MGDA, {"gradients": "last_layer"}),
        (MGDA, {"weight_heads": True}),
        (lambda tasks: adjusted(NashMTL(tasks), every=2), {}),
        (GradDrop, {}),
        (TrimmedMean, {"gradients": "features"}),
        (DynamicWeightAverage, {"optimizer": lambda groups: AdaTask(groups, lr=0.01, eps=1e-2)}),
    ],
)
def test_parts_give_the_parameters_of_the_whole_step(weighting, options, apart, parts):
    if options.get("gradients") == "features" and apart:
        pytest.skip("no features in common")
    runs = [fitted(module(weighting, accumulate=count, **options), uneven(apart)) for count in (parts, 1)]
    assert_alike(*runs)
    begun = module(weighting, **options).state_dict()
    assert not torch.allclose(begun["model.trunk.embedding.weight"], runs[0][0]["model.trunk.embedding.weight"])


@pytest.mark.filterwarnings("ignore")
def test_a_part_counts_by_what_its_mean_goes_over():
    """Were all parts worth the same, the loss of the task with uneven tags would be another one."""
    batch = uneven(apart=False)
    parts = cut(batch, PER_TOKEN, 4)
    model = model_of("lstm")
    means = []
    for part in parts.batches:
        share = part.tasks["c"]
        means.append(KINDS["c"].loss(model(part)["c"], share.targets).nan_to_num())
    means, shares = torch.stack(means), torch.tensor(parts.shares)[:, 2]
    expected = KINDS["c"].loss(model(batch)["c"], batch.tasks["c"].targets)
    torch.testing.assert_close(means @ shares, expected)
    assert abs(means.mean() - expected) > 1e-3


@given(
    pieces=st.integers(1, 9),
    asked=st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=7), min_size=3, max_size=3),
)
def test_every_row_is_in_one_part_with_its_own_input_and_target(pieces, asked):
    ids = torch.arange(7)[:, None]
    tasks = {
        name: TaskRows(torch.tensor(places), torch.arange(len(places)) * 10 + torch.tensor(places))
        for name, places in zip("abc", asked, strict=True)
    }
    parts = cut(Batch(ids, torch.ones(7), tasks), dict.fromkeys("abc", False), pieces)
    assert len(parts.batches) == min(pieces, 7)
    assert sorted(torch.cat([part.ids for part in parts.batches]).flatten().tolist()) == list(range(7))
    for place, name in enumerate("abc"):
        found = []
        for part in parts.batches:
            if name in part.tasks:
                rows = part.tasks[name]
                found += [(int(i), int(t)) for i, t in zip(part.ids[rows.inputs, 0], rows.targets, strict=True)]
        assert sorted(found) == sorted(zip(asked[place], tasks[name].targets.tolist(), strict=True))
        assert sum(shares[place] for shares in parts.shares) == pytest.approx(1)


@pytest.mark.parametrize(("where", "passes"), [("shared", 3), ("features", 6)])
def test_a_part_goes_through_the_trunk_once_more_only_where_it_has_to_wait_for_the_weights(where, passes):
    made = module(UPGrad, gradients=where, accumulate=3)
    made._trainer = SimpleNamespace(train_dataloader=None, global_step=0)
    calls = []
    made.model.trunk.register_forward_pre_hook(lambda *_: calls.append(1))
    made.training_step(batch_of(), 0).backward()
    assert len(calls) == passes


def test_dropout_is_the_same_when_the_trunk_runs_again():
    made = module(DynamicWeightAverage, "transformer", accumulate=2)
    made._trainer = SimpleNamespace(train_dataloader=None, global_step=0)
    made.model.trunk.train()
    for part in made.model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.3
    batch = batch_of()
    torch.manual_seed(3)
    made.training_step(batch, 0).backward()
    found = torch.cat([parameter.grad.flatten() for parameter in made.model.parameters()])
    made.zero_grad()
    torch.manual_seed(3)
    parts = cut(batch, PER_TOKEN, 2)
    for part, shares in zip(parts.batches, parts.shares, strict=True):
        outputs = made.model(part)
        losses = [KINDS[name].loss(outputs[name], rows.targets) for name, rows in part.tasks.items()]
        sum(share * loss for share, loss in zip(shares, losses, strict=True)).backward()
    torch.testing.assert_close(found, torch.cat([p.grad.flatten() for p in made.model.parameters()]))


@pytest.mark.parametrize("where", ["shared", "features"])
def test_a_task_that_is_not_finite_in_one_part_is_left_out_of_the_whole_step(where):
    made, others = (module(UPGrad, gradients=where, accumulate=parts, on_nan="skip") for parts in (3, 1))
    batch = batch_of()
    for one in (made, others):
        one._trainer = SimpleNamespace(train_dataloader=None, global_step=0)
    kind, calls = made.tasks["b"].kind, []

    def broken(*given):
        calls.append(1)
        return kind.loss(*given) * (float("nan") if len(calls) == 2 else 1)

    made.tasks["b"] = SimpleNamespace(kind=SimpleNamespace(loss=broken))
    made.training_step(batch, 0).backward()
    rest = Batch(batch.ids, batch.lengths, {name: batch.tasks[name] for name in "ac"})
    others.training_step(rest, 0).backward()
    for ours, theirs in zip(made.model.trunk.parameters(), others.model.trunk.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    assert made.skipped.tolist() == [0, 1, 0]
    assert all(parameter.grad is None for parameter in made.model.heads["b"].parameters())


def test_a_task_without_any_target_is_named_as_in_one_part():
    batch = batch_of()
    batch.tasks["c"].targets.fill_(IGNORED)
    made = module(UPGrad, accumulate=2)
    made._trainer = SimpleNamespace(train_dataloader=None, global_step=0)
    with pytest.raises(MtlError, match="task c: the loss is nan in step 0"):
        made.training_step(batch, 0)


def test_less_than_one_part_is_refused():
    with pytest.raises(ValueError, match=r"`accumulate` should be at least 1\. Found 0"):
        module(UPGrad, accumulate=0)


@pytest.mark.parametrize(
    ("weighting", "accumulate", "processes"), [(UPGrad, 1, 1), (Uncertainty, 2, 1), (Uncertainty, 1, 2)]
)
def test_gradients_that_are_taken_before_the_loss_is_scaled_are_refused_in_16_mixed(weighting, accumulate, processes):
    made = module(weighting, accumulate=accumulate)
    made._trainer = SimpleNamespace(accumulate_grad_batches=1, precision="16-mixed", world_size=processes)
    with pytest.raises(MtlError, match=r"precision=16-mixed loses small gradients.*take bf16-mixed"):
        made.on_fit_start()


def test_16_mixed_is_lightnings_own_affair_where_nothing_is_taken_apart():
    made = module(Uncertainty)
    made._trainer = SimpleNamespace(accumulate_grad_batches=1, precision="16-mixed", world_size=1)
    made.on_fit_start()
