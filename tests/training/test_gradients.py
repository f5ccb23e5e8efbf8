from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchjd import Stateful, aggregation
from torchjd.autojac import jac_to_grad, mtl_backward
from torchjd.linalg import QuadprogProjector

from mtl.data.batch import Batch, TaskRows
from mtl.data.kinds import Classification, Tagging
from mtl.errors import MtlError
from mtl.model.lstm import LSTM
from mtl.model.multitask import MultiTaskModel
from mtl.model.transformer import Transformer
from mtl.strategies.weighting.aligned_mtl import AlignedMTL as OurAligned
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.cagrad import CAGrad
from mtl.strategies.weighting.conflict_free import ConFIG
from mtl.strategies.weighting.dualproj import DualProj
from mtl.strategies.weighting.fairgrad import FairGrad
from mtl.strategies.weighting.grad_drop import GradDrop
from mtl.strategies.weighting.gradvac import GradVac
from mtl.strategies.weighting.imtl_g import IMTLG as OUR_IMTLG
from mtl.strategies.weighting.krum import Krum
from mtl.strategies.weighting.mgda import MGDA as OUR_MGDA
from mtl.strategies.weighting.nash_mtl import NashMTL
from mtl.strategies.weighting.pcgrad import PCGrad
from mtl.strategies.weighting.torchjd import TorchJD
from mtl.strategies.weighting.trimmed_mean import TrimmedMean
from mtl.strategies.weighting.upgrad import UPGrad as OurUPGrad
from mtl.training.gradients import Ready, weigh_gradients
from mtl.training.products import gramian, jacobian

KINDS = {"a": Classification(("x", "y", "z")), "b": Classification(("u", "v")), "c": Tagging(("O", "B-p", "I-p"))}
TASKS = {name: kind.name for name, kind in KINDS.items()}


PLAIN = ("AlignedMTL", "ConFIG", "DualProj", "ExcessMTL", "GradDrop", "GradVac", "IMTLG", "MGDA", "Mean", "PCGrad")
EVERY_AGGREGATOR = {
    **{name: {} for name in (*PLAIN, "Random", "Sum")},
    "CAGrad": {"c": 0.4},
    "Constant": {"weights": [0.2, 0.3, 2.0]},
    "FairGrad": {"alpha": 2.0},
    "Krum": {"n_byzantine": 0},
    "NashMTL": {"max_norm": 0.5},
    "PCD": {"tau": 0.1},
    "TrimmedMean": {"trim_number": 1},
    "UPGrad": {"pref_vector": [1.0, 0.1, 0.5]},
}
"""Each with options that it takes for three tasks."""


def model_of(trunk: str) -> MultiTaskModel:
    torch.manual_seed(0)
    made = LSTM(30, True, units=8, embedding=6) if trunk == "lstm" else Transformer(30, True, 16, 8, 1, 2, 8, 0.0)
    return MultiTaskModel(made, KINDS)


def batch_of(apart: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, 30, (6, 7), generator=generator)
    lengths = torch.tensor([7, 5, 7, 3, 6, 7])
    asked = {"a": [0, 1, 2], "b": [2, 3], "c": [3, 4, 5]} if apart else dict.fromkeys("abc", range(6))
    tasks = {}
    for name, kind in KINDS.items():
        shape = (len(asked[name]), 7) if kind.per_token else (len(asked[name]),)
        targets = torch.randint(0, kind.num_outputs, shape, generator=generator)
        tasks[name] = TaskRows(torch.tensor(list(asked[name])) if apart else None, targets)
    return Batch(ids, lengths, tasks)


def step(model: MultiTaskModel, batch: Batch, weighting: Weighting, where: str = "shared"):
    model.zero_grad()
    losses = {name: kind.loss for name, kind in KINDS.items()}
    told = lambda found: Signals(torch.arange(len(found)), found)  # noqa: E731
    result = weigh_gradients(model, batch, losses, weighting, told, where)
    result[2].backward()
    return result


def seeded_grad_drop(tasks):
    weighting = GradDrop(tasks)
    weighting.chance.generator.manual_seed(3)
    return weighting


class AtWhatIsRead(aggregation.Aggregator):
    """An aggregator of TorchJD's that sees no rows of embeddings that no task reads, and draws no numbers for them."""

    def __init__(self, inner: aggregation.Aggregator, trunk: nn.Module) -> None:
        super().__init__()
        self.inner, self.read = inner, [torch.ones_like(p, dtype=torch.bool) for p in trunk.parameters()]
        for kept, parameter in zip(self.read, trunk.parameters(), strict=True):
            for module in trunk.modules():
                if isinstance(module, nn.Embedding) and module.weight is parameter:
                    kept.zero_()
                    module.register_forward_hook(partial(self.see, kept))

    def see(self, kept, module, ids, _) -> None:
        kept[ids[0][ids[0] != module.padding_idx].flatten()] = True

    def forward(self, matrix):
        kept = torch.cat([part.flatten() for part in self.read])
        assert not kept.all()
        return torch.zeros_like(matrix[0]).masked_scatter(kept, self.inner(matrix[:, kept]))


def exact():
    """TorchJD's projection without the 1e-4 that it adds to the Gramian."""
    return QuadprogProjector(norm_eps=1e-12, reg_eps=1e-9)


PAIRS = {
    "upgrad": (OurUPGrad, aggregation.UPGrad(projector=exact())),
    "dualproj": (DualProj, aggregation.DualProj(projector=exact())),
    "mgda": (OUR_MGDA, aggregation.MGDA(epsilon=1e-9, max_iters=5000)),
    "imtl_g": (OUR_IMTLG, aggregation.IMTLG()),
    "aligned_mtl": (OurAligned, aggregation.AlignedMTL(torch.ones(3))),  # theirs is a mean by default, ours a sum
    "config": (ConFIG, aggregation.ConFIG()),
    "cagrad": (CAGrad, aggregation.CAGrad(c=0.4)),
    "fairgrad": (lambda tasks: FairGrad(tasks, alpha=2.0), aggregation.FairGrad(alpha=2.0)),
    "nash_mtl": (NashMTL, aggregation.NashMTL(n_tasks=3, max_norm=0.0)),
    "krum": (lambda tasks: Krum(tasks, outliers=0), aggregation.Krum(n_byzantine=0)),
    "trimmed_mean": (TrimmedMean, aggregation.TrimmedMean(1)),
    "grad_drop": (seeded_grad_drop, aggregation.GradDrop()),
}
"""Methods that both have, with options that make them one. Their order of tasks makes PCGrad and GradVac a test below;
ExcessMTL looks at coordinates there and at norms here, as its docstring says.
"""


@pytest.mark.oracle("TorchJD")
@pytest.mark.filterwarnings("ignore:.*not DPP")
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("trunk", ["lstm", "transformer"])
@pytest.mark.parametrize("name", PAIRS)
def test_the_gradients_of_a_step_are_torchjds(trunk, name, apart):
    if (name, trunk) == ("nash_mtl", "lstm"):
        pytest.skip("TorchJD's ECOS finds no solution here; ours is checked by its equation in test_faults.py")
    ours, theirs = PAIRS[name]
    if isinstance(theirs, Stateful):
        theirs.reset()
    assert_a_step_is_torchjds(ours(TASKS), theirs, trunk, batch_of(apart))


@pytest.mark.oracle("TorchJD")
@pytest.mark.parametrize(("ours", "theirs"), [(PCGrad, aggregation.PCGrad), (GradVac, aggregation.GradVac)])
def test_the_gradients_of_a_step_of_two_tasks_are_torchjds(ours, theirs):
    batch = batch_of()
    two = Batch(batch.ids, batch.lengths, {name: batch.tasks[name] for name in "ac"})
    assert_a_step_is_torchjds(ours(TASKS), theirs(), "lstm", two)


@pytest.mark.oracle("TorchJD")
@pytest.mark.filterwarnings("ignore:.*not DPP")
@pytest.mark.parametrize(("name", "options"), EVERY_AGGREGATOR.items())
def test_a_step_with_an_aggregator_of_torchjds_is_its_own(name, options):
    tensors = {key: torch.tensor(value) if isinstance(value, list) else value for key, value in options.items()}
    theirs = getattr(aggregation, name)(**tensors, **({"n_tasks": 3} if name == "NashMTL" else {}))
    torch.manual_seed(3)
    assert_a_step_is_torchjds(TorchJD(TASKS, name, options), theirs, "transformer", batch_of())


def assert_a_step_is_torchjds(weighting, theirs, trunk, batch):
    """All parameter gradients of a step are those of TorchJD's `mtl_backward`, to 1e-5 of their length."""
    model, reference = model_of(trunk), model_of(trunk)
    if isinstance(theirs, aggregation.GradDrop):
        theirs = AtWhatIsRead(theirs, model.trunk)
    torch.manual_seed(3)
    step(model, batch, weighting)
    features = reference.features(batch)
    outputs = reference.outputs(batch, features)
    losses = [KINDS[name].loss(outputs[name], rows.targets) for name, rows in batch.tasks.items()]
    mtl_backward(losses, features=features, parallel_chunk_size=1, retain_graph=True)
    torch.manual_seed(3)
    jac_to_grad(reference.trunk.parameters(), theirs)
    found, wanted = (torch.cat([p.grad.flatten() for p in made.trunk.parameters()]) for made in (model, reference))
    assert (found - wanted).norm() <= 1e-5 * wanted.norm()
    for (name, ours), other in zip(model.heads.named_parameters(), reference.heads.parameters(), strict=True):
        if name.split(".")[0] in batch.tasks:
            torch.testing.assert_close(ours.grad, other.grad)
        else:
            assert ours.grad is None


def test_the_gramian_is_that_of_the_whole_gradients():
    model, batch = model_of("lstm"), batch_of()
    told, weights, _ = step(model, batch, OurUPGrad(TASKS))
    outputs = model(batch)
    rows = []
    for name, share in batch.tasks.items():
        loss = KINDS[name].loss(outputs[name], share.targets)
        rows.append(
            torch.cat(
                [g.flatten() for g in torch.autograd.grad(loss, list(model.trunk.parameters()), retain_graph=True)]
            )
        )
    J = torch.stack(rows)
    torch.testing.assert_close(told.gramian, J @ J.T)
    combined = torch.cat([parameter.grad.flatten() for parameter in model.trunk.parameters()])
    torch.testing.assert_close(combined, weights @ J)


@pytest.mark.parametrize("asked", [None, [0, 0, 1, 2, 3, 4]])
def test_at_features_the_gramian_is_that_of_the_features_and_the_trunk_gets_the_weighted_gradient(asked):
    """Also where an epoch ends within the step, so that a row comes twice."""
    model, batch = model_of("transformer"), batch_of()
    if asked is not None:
        tasks = {name: TaskRows(torch.tensor(asked), rows.targets) for name, rows in batch.tasks.items()}
        batch = Batch(batch.ids[:5], batch.lengths[:5], tasks)
    told, weights, _ = step(model, batch, OUR_MGDA(TASKS), "features")
    features = model.features(batch)
    outputs = model.outputs(batch, features)
    losses = [KINDS[name].loss(outputs[name], rows.targets) for name, rows in batch.tasks.items()]
    at = [torch.autograd.grad(loss, features, retain_graph=True) for loss in losses]
    torch.testing.assert_close(told.gramian, gramian(at))
    total = sum(weight * loss for weight, loss in zip(weights, losses, strict=True))
    expected = torch.autograd.grad(total, list(model.trunk.parameters()))
    for parameter, gradient in zip(model.trunk.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_at_features_tasks_with_rows_of_their_own_are_refused():
    with pytest.raises(MtlError, match="gradients=shared"):
        step(model_of("lstm"), batch_of(apart=True), OUR_MGDA(TASKS), "features")


def test_a_step_that_keeps_old_weights_goes_through_the_trunk_once():
    class Old(Weighting):
        needs_gramian = True

        def wants_gramian(self, step: int) -> bool:
            return False

        def forward(self, signals: Signals) -> torch.Tensor:
            assert signals.gramian is None
            return torch.tensor([0.5, 2.0, 0.0])

    model, batch = model_of("lstm"), batch_of(apart=True)
    passes = []
    model.trunk.embedding.weight.register_hook(lambda _: passes.append(1))
    step(model, batch, Old(TASKS))
    assert len(passes) == 1
    outputs = model(batch)
    losses = [KINDS[name].loss(outputs[name], rows.targets) for name, rows in batch.tasks.items()]
    expected = torch.autograd.grad(0.5 * losses[0] + 2 * losses[1], list(model.trunk.parameters()))
    for parameter, gradient in zip(model.trunk.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_every_task_goes_through_the_trunk_once_and_not_again():
    model, batch = model_of("transformer"), batch_of()
    passes = []
    model.trunk.dropout.register_full_backward_hook(lambda *_: passes.append(1))
    step(model, batch, OurUPGrad(TASKS))
    assert len(passes) == len(TASKS)


def test_no_task_goes_back_over_the_rows_of_the_others():
    model, batch = model_of("transformer"), batch_of(apart=True)
    backwards = []
    model.trunk.dropout.register_full_backward_hook(lambda _, __, gradients: backwards.append(len(gradients[0])))
    step(model, batch, OurUPGrad(TASKS))
    assert sorted(backwards) == sorted(len(rows.targets) for rows in batch.tasks.values())


def test_where_no_task_tags_tokens_the_features_are_those_of_whole_texts():
    kinds = {name: KINDS[name] for name in "ab"}
    model, batch = MultiTaskModel(LSTM(30, False, units=8, embedding=6), kinds), batch_of()
    batch = Batch(batch.ids, batch.lengths, {name: batch.tasks[name] for name in kinds})
    losses = {name: kind.loss for name, kind in kinds.items()}
    told, weights, total = weigh_gradients(
        model,
        batch,
        losses,
        OUR_MGDA(dict.fromkeys("ab", "c")),
        lambda found: Signals(torch.arange(2), found),
        "features",
    )
    total.backward()
    texts = model.features(batch)
    outputs = model.outputs(batch, texts)
    found = [losses[name](outputs[name], rows.targets) for name, rows in batch.tasks.items()]
    torch.testing.assert_close(told.gramian, gramian([torch.autograd.grad(f, texts, retain_graph=True) for f in found]))
    assert texts.shape == (6, 8)
    weighted = torch.stack(found) @ weights
    torch.testing.assert_close(total, weighted)
    expected = torch.autograd.grad(weighted, list(model.trunk.parameters()))
    for parameter, gradient in zip(model.trunk.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize("weighting", [OurUPGrad, TrimmedMean])
def test_20_a_parameter_that_some_tasks_do_not_use_is_no_obstacle(weighting):
    """LibMTL's autograd mode stops there. Like a prompt of one task: `b` alone, of two rows, reads this."""
    model, batch = model_of("lstm"), batch_of(apart=True)
    forward, scale = model.trunk.forward, nn.Parameter(torch.tensor(1.5))
    model.trunk.scale = scale
    model.trunk.forward = lambda ids, lengths: forward(ids, lengths) * (scale if len(ids) == 2 else 1)
    weights = step(model, batch, weighting(TASKS))[1]
    share = batch.tasks["b"]
    features = forward(batch.ids[share.inputs], batch.lengths[share.inputs]) * scale
    alone = Batch(batch.ids[share.inputs], batch.lengths[share.inputs], {"b": TaskRows(None, share.targets)})
    wanted = torch.autograd.grad(KINDS["b"].loss(model.outputs(alone, features)["b"], share.targets), scale)[0]
    # the middle one of a gradient and two zeros is a zero
    expected = torch.zeros(()) if weighting is TrimmedMean else weights[1] * wanted
    torch.testing.assert_close(scale.grad, expected)


def test_a_gradient_that_is_ready_becomes_the_parameters_own_without_a_copy():
    parameter, gradient = nn.Parameter(torch.zeros(3)), torch.tensor([1.0, 2.0, 3.0])
    place = gradient.data_ptr()
    total = Ready.apply(torch.tensor(5.0), (gradient,), parameter)
    del gradient
    total.backward()
    assert parameter.grad.data_ptr() == place
    assert parameter.grad.tolist() == [1, 2, 3]


@pytest.mark.parametrize("times", [1, 3])
def test_a_gradient_that_is_ready_is_scaled_and_added_up_as_any_other(times):
    parameter, gradient = nn.Parameter(torch.zeros(3)), torch.tensor([1.0, 2.0, 3.0])
    total = times * Ready.apply(torch.tensor(5.0), (gradient,), parameter)
    for count in (1, 2, 3):
        total.backward(retain_graph=count < 3)
        assert parameter.grad.tolist() == [count * times, count * 2 * times, count * 3 * times]
    assert gradient.tolist() == [1, 2, 3]


def test_20_what_is_made_of_gradients_is_made_where_they_are():
    """LibMTL fills buffers on the CPU and copies them; the meta device stands for a GPU."""
    gradients = [(torch.ones(3, 5, device="meta"), torch.ones(2, device="meta")) for _ in range(3)]
    assert gramian(gradients).device.type == "meta"
    assert jacobian(gradients, None).device.type == "meta"
    assert jacobian(gradients, torch.ones(3, device="meta")).shape == (3, 17)


def test_a_long_gramian_is_added_up_in_chunks(monkeypatch):
    monkeypatch.setattr("mtl.training.products.CHUNK", 4)
    gradients = [(torch.randn(3, 5), torch.randn(2)) for _ in range(3)]
    J = torch.stack([torch.cat([part.flatten() for part in parts]) for parts in gradients])
    torch.testing.assert_close(gramian(gradients), J @ J.T)


@pytest.mark.oracle("the paper's formula")
def test_a_linear_trunk_by_hand():
    """Two tasks on f = w x with losses a f and -a f + b: opposite gradients, so MGDA stands still."""
    trunk = nn.Linear(1, 1, bias=False)
    head = SimpleNamespace(parameters=lambda: iter(()))
    model = SimpleNamespace(
        asked=lambda batch: batch,
        trunk=trunk,
        shared=lambda: dict(trunk.named_parameters()),
        idle=lambda _: [],
        heads={"a": head, "b": head},
        features=lambda batch: trunk(batch.ids),
        outputs=lambda batch, features: {"a": 2 * features, "b": -features},
    )
    batch = Batch(torch.ones(1, 1), torch.ones(1), {n: TaskRows(None, torch.zeros(1)) for n in "ab"})
    losses = dict.fromkeys("ab", lambda outputs, _: outputs.sum())
    two = {"a": "regression", "b": "regression"}
    told, weights, total = weigh_gradients(
        model, batch, losses, OUR_MGDA(two), lambda found: Signals(torch.arange(2), found), "shared"
    )
    torch.testing.assert_close(told.gramian, torch.tensor([[4.0, -2.0], [-2.0, 1.0]]))
    total.backward()
    torch.testing.assert_close(weights, torch.tensor([1 / 3, 2 / 3]), atol=1e-4, rtol=0)
    assert trunk.weight.grad.abs().item() < 1e-3
