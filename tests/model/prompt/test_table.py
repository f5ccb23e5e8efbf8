"""What holds for every member of the table."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.data.batch import collate
from mtl.model.prompt.attentional import Attentional
from mtl.model.prompt.feature_vector import FeatureVector
from mtl.model.prompt.multitask import Multitask
from mtl.model.prompt.prefix import Prefix
from mtl.model.prompt.reparam import Reparam
from mtl.model.prompt.soft import Soft
from mtl.prompts.keyword import Keyword
from mtl.prompts.none import NoPrompt
from mtl.prompts.phrase import Phrase
from mtl.strategies.weighting.equal import Equal
from mtl.strategies.weighting.mgda import MGDA
from mtl.training.module import MultiTaskModule

LENGTHS = {"mood": 2, "stars": 5, "topics": 1, "tags": 3}
MEMBERS = {
    "soft": lambda: Soft(NoPrompt(), LENGTHS),
    "soft at the end": lambda: Soft(NoPrompt(), LENGTHS, "random", "end"),
    "soft with keywords": lambda: Soft(Keyword(), LENGTHS),
    "soft between keywords and text": lambda: Soft(Keyword(), LENGTHS, slot="before"),
    "soft inside a phrase": lambda: Soft(Phrase(), LENGTHS, slot="after"),
    "reparam": lambda: Reparam(NoPrompt(), LENGTHS, hidden=5),
    "multitask": lambda: Multitask(NoPrompt(), 3, rank=2),
    "attentional": lambda: Attentional(NoPrompt(), 3, sources=2, bottleneck=4),
    "feature_vector": lambda: FeatureVector(NoPrompt(), LENGTHS),
    "feature_vector of tfidf": lambda: FeatureVector(NoPrompt(), LENGTHS, features="tfidf", size=3, bottleneck=2),
    "feature_vector of embeddings": lambda: FeatureVector(NoPrompt(), LENGTHS, features="embedding", slot="end"),
    "prefix": lambda: Prefix(NoPrompt(), LENGTHS),
    "prefix with keywords": lambda: Prefix(Keyword(), LENGTHS, "random"),
    "soft, shared": lambda: Soft(NoPrompt(), 3, shared=True),
}
TRUNKS = ("transformer", "lstm")
ON = [(member, trunk) for member in MEMBERS for trunk in TRUNKS if not (member[:6] == "prefix" and trunk == "lstm")]


def outputs(model, chosen, tasks):
    """Outputs of each task at its own tokens or texts."""
    found = model(collate(chosen, tasks))
    for name, asked in chosen.items():
        if model.per_token[name]:
            lengths = tasks[name].inputs.lengths[asked]
            found[name] = torch.cat([row[:n] for row, n in zip(found[name], lengths, strict=True)])
    return found


@pytest.mark.parametrize(("member", "trunk"), ON)
def test_a_mixed_batch_equals_the_batch_of_each_task(made, member, trunk):
    model, tasks = made(MEMBERS[member](), trunk)

    @settings(max_examples=15)
    @given(st.dictionaries(st.sampled_from(list(tasks)), st.integers(1, 6), min_size=1), st.integers(0, 99))
    def holds(sizes, seed):
        generator = np.random.default_rng(seed)
        chosen = {
            name: np.sort(generator.choice(tasks[name].labelled.rows["train"], sizes[name], replace=False))
            for name in tasks
            if name in sizes
        }
        mixed = outputs(model, chosen, tasks)
        for name, asked in chosen.items():
            alone = outputs(model, {name: asked}, tasks)[name]
            torch.testing.assert_close(mixed[name], alone, atol=1e-5, rtol=1e-5)

    holds()


@pytest.mark.parametrize("member", MEMBERS)
def test_the_prompt_is_heard(made, member, rows):
    model, tasks = made(MEMBERS[member]())
    _, batch = rows(tasks, {"mood": 4})
    before = model(batch)["mood"]
    with torch.no_grad():
        for parameter in model.prompt.parameters():
            parameter += torch.randn(parameter.shape)  # a constant is what a layer norm takes away
    assert (model(batch)["mood"] - before).abs().max() > 1e-3


@pytest.mark.parametrize("member", [name for name in MEMBERS if "shared" not in name])
def test_rows_of_an_absent_task_are_bit_equal_after_20_steps_of_another(made, member, rows):
    model, tasks = made(MEMBERS[member]())
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)

    def step(sizes, seed):
        _, batch = rows(tasks, sizes, seed)
        found = model(batch)
        optimiser.zero_grad()
        sum(
            task.labelled.task.kind.loss(found[n], batch.tasks[n].targets) for n, task in tasks.items() if n in found
        ).backward()
        optimiser.step()

    for seed in range(3):  # momentum for everybody
        step(dict.fromkeys(tasks, 4), seed)
    before = {name: value.clone() for name, value in model.prompt.named_parameters()}
    for seed in range(20):
        step({"stars": 4}, seed)
    moved = {name for name, value in model.prompt.named_parameters() if not torch.equal(value, before[name])}
    idle = model.prompt.idle(["stars"])
    assert idle
    assert not moved & idle
    assert any(name.startswith("rows.stars") for name in moved)


@pytest.mark.parametrize(("member", "trunk"), ON)
def test_places_are_those_that_the_trunk_computes(made, rows, monkeypatch, member, trunk):
    model, tasks = made(MEMBERS[member](), trunk)
    _, batch = rows(tasks, {"mood": 4, "stars": 3})
    seen, encode = [], model.trunk.encode
    monkeypatch.setattr(
        model.trunk, "encode", lambda given, *rest: seen.append(given[..., 0].numel()) or encode(given, *rest)
    )
    model(batch)
    assert model.places(batch) == sum(seen)


def test_a_shared_prompt_keeps_the_tasks_on_one_trunk_pass(made, rows):
    _, tasks = made(Soft(NoPrompt(), 3))
    assert len(collate({name: np.array([0, 1]) for name in tasks}, tasks).ids) == 8
    _, tasks = made(Soft(NoPrompt(), 3, shared=True))
    assert len(collate({name: np.array([0, 1]) for name in tasks}, tasks).ids) == 2


def test_a_prompt_may_have_a_learning_rate_of_its_own(made):
    model, tasks = made(Soft(NoPrompt(), 2, learning_rate=0.3))
    kinds = {name: task.labelled.task for name, task in tasks.items()}
    module = MultiTaskModule(model, kinds, Equal(dict.fromkeys(tasks, "")), partial(torch.optim.SGD, lr=0.01), 10, {})
    groups = module.configure_optimizers().param_groups
    assert [group["lr"] for group in groups] == [0.01, 0.3]
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in model.prompt.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize("where", ["prompt", "shared"])
def test_gradient_methods_leave_an_absent_tasks_rows_without_a_gradient(made, rows, where):
    model, tasks = made(Soft(NoPrompt(), LENGTHS))
    kinds = {name: task.labelled.task for name, task in tasks.items()}
    module = MultiTaskModule(model, kinds, MGDA(dict.fromkeys(tasks, "")), torch.optim.SGD, 10, {}, where)
    module._trainer = SimpleNamespace(train_dataloader=None, global_step=0)
    _, batch = rows(tasks, {"mood": 4, "tags": 3})
    module.training_step(batch, 0).backward()
    for name, parameter in model.prompt.named_parameters():
        assert (parameter.grad is None) == (name in model.prompt.idle(["mood", "tags"]))


@pytest.mark.parametrize(("weighting", "where"), [(Equal, "shared"), (MGDA, "shared"), (MGDA, "prompt")])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_rows_of_a_task_that_on_nan_leaves_out_stay_where_they_are(made, rows, weighting, where, accumulate):
    model, tasks = made(Soft(NoPrompt(), LENGTHS))
    kinds = {name: task.labelled.task for name, task in tasks.items()}
    made_of = weighting(dict.fromkeys(tasks, "")), partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1)
    module = MultiTaskModule(model, kinds, *made_of, 10, {}, where, on_nan="skip", accumulate=accumulate)
    module._trainer = SimpleNamespace(train_dataloader=None, global_step=0)
    optimizer = module.configure_optimizers()
    _, batch = rows(tasks, {"mood": 4, "stars": 4})

    def step():
        before = {name: value.detach().clone() for name, value in model.prompt.named_parameters()}
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        module.on_after_backward()
        optimizer.step()
        return {name for name, value in model.prompt.named_parameters() if not torch.equal(before[name], value)}

    assert step() == {"rows.mood.vectors", "rows.stars.vectors"}  # there is momentum now
    batch.tasks["stars"].targets[0] = torch.nan
    assert step() == {"rows.mood.vectors"}
    batch.tasks["stars"].targets[0] = 0
    assert step() == {"rows.mood.vectors", "rows.stars.vectors"}


def test_gramians_at_the_prompt_are_those_of_a_loop(made, rows):
    model, tasks = made(Soft(NoPrompt(), 3, shared=True))
    kinds = {name: task.labelled.task for name, task in tasks.items()}
    module = MultiTaskModule(model, kinds, MGDA(dict.fromkeys(tasks, "")), torch.optim.SGD, 10, {}, "prompt")
    module._trainer = SimpleNamespace(train_dataloader=None, global_step=0)
    _, batch = rows(tasks, dict.fromkeys(tasks, 4))
    module.training_step(batch, 0)
    vectors, found = model.prompt.rows["all"].vectors, model(batch)
    losses = [kinds[name].kind.loss(found[name], batch.tasks[name].targets) for name in tasks]
    J = torch.stack([torch.autograd.grad(loss, vectors, retain_graph=True)[0].flatten() for loss in losses])
    torch.testing.assert_close(module.gramian[1], J @ J.T, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("member", "own"), {"soft, shared": 3 * 8, "multitask": 3 * 8 + 4 * 2 * (3 + 8), "reparam": 11 * 8}.items()
)
def test_counts_what_a_saved_run_needs_beside_a_trunk_that_is_found_again(made, member, own):
    model, tasks = made(MEMBERS[member]())  # width 8; the four prompts of reparam have 2 + 5 + 1 + 3 places
    heads = sum(9 * task.labelled.task.kind.num_outputs for task in tasks.values())
    trunk = sum(parameter.numel() for parameter in model.trunk.parameters())
    assert model.saved_parameters() == own + heads + trunk
    model.trunk.freeze()
    assert model.saved_parameters() == own + heads


@pytest.mark.parametrize(("member", "trunk"), ON)
def test_a_row_that_a_step_asks_for_twice_counts_twice(made, member, trunk):
    """Oracle: the three rows one after the other."""
    model, tasks = made(MEMBERS[member](), trunk, ["mood", "stars"])
    mood, stars = (tasks[name].labelled.rows["train"] for name in ("mood", "stars"))

    def gradient(batches):
        found = [output for chosen in batches for output in model(collate(chosen, tasks)).values()]
        parameters = list(model.prompt.parameters())
        total = sum(output.square().sum() for output in found)
        return torch.cat([output.flatten() for output in found]), torch.autograd.grad(
            total, parameters, allow_unused=True, materialize_grads=True
        )

    together = gradient([{"mood": mood[[0, 1, 0]]}, {"mood": mood[[2]], "stars": stars[[4, 3, 4]]}])
    apart = gradient([{"mood": mood[[i]]} for i in (0, 1, 0, 2)] + [{"stars": stars[[i]]} for i in (4, 3, 4)])
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)
