"""What each member of the table is, by hand."""

import math

import pytest
import torch

from mtl.errors import MtlError
from mtl.model.prompt.attentional import Attentional
from mtl.model.prompt.feature_vector import FeatureVector
from mtl.model.prompt.inserted import Read
from mtl.model.prompt.multitask import Multitask
from mtl.model.prompt.prefix import Prefix
from mtl.model.prompt.reparam import Reparam
from mtl.model.prompt.soft import Soft
from mtl.prompts.none import NoPrompt


def test_reparam_starts_as_soft_and_folds_into_it(made, rows):
    soft, tasks = made(Soft(NoPrompt(), 3), moved=False)
    fresh, _ = made(Reparam(NoPrompt(), 3, hidden=5), moved=False)
    _, batch = rows(tasks, dict.fromkeys(tasks, 3))
    assert torch.equal(fresh.features(batch), soft.features(batch))
    trained, _ = made(Reparam(NoPrompt(), 3, hidden=5))
    soft.prompt.load_state_dict(trained.prompt.kept())
    torch.testing.assert_close(soft.features(batch), trained.features(batch))
    assert not torch.equal(fresh.features(batch), trained.features(batch))
    fresh.prompt.take(trained.prompt.kept())
    torch.testing.assert_close(fresh.features(batch), trained.features(batch))


def test_a_multitask_prompt_starts_at_the_words_and_is_a_product(made):
    fresh, _ = made(Multitask(NoPrompt(), 3, "keywords", rank=2), moved=False)
    words = fresh.prompt.common["vectors"]
    for row in fresh.prompt.rows:
        assert torch.equal(fresh.prompt.vectors(row, None), words)
    assert words.norm(dim=1).mean() > 0.5 * fresh.trunk.embedding.weight[2:].norm(dim=1).mean()
    moved, _ = made(Multitask(NoPrompt(), 3, rank=2))
    u, v, shared = (moved.prompt.rows["stars"].u, moved.prompt.rows["stars"].v, moved.prompt.common["vectors"])
    by_hand = [[shared[p, e] * (1 + sum(u[p, r] * v[r, e] for r in range(2))) for e in range(8)] for p in range(3)]
    torch.testing.assert_close(
        moved.prompt.vectors("stars", None), torch.stack([torch.stack(line) for line in by_hand])
    )


def test_attention_over_sources_by_hand(made, rows):
    model, tasks = made(Attentional(NoPrompt(), 2, sources=2, bottleneck=4))
    _, batch = rows(tasks, {"stars": 3})
    prompt, heard = model.prompt, []
    encode = model.trunk.encode
    model.trunk.encode = lambda placed, *rest: (heard.append(placed), encode(placed, *rest))[1]
    model.features(batch)
    own, sources = prompt.rows["stars"].vectors, list(prompt.get_parameter("common.sources.vectors"))
    for row, (ids, length) in enumerate(zip(batch.ids, batch.lengths, strict=True)):
        seen = prompt.common["look"](model.trunk.embedding(ids[:length]).max(0).values)
        scores = [(one.max(0).values @ seen / (8 * math.e)).exp() for one in [*sources, own]]
        blend = sum(score / sum(scores) * one for score, one in zip(scores, [*sources, own], strict=True))
        torch.testing.assert_close(heard[0][row, :2], own + blend, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("features", ["measures", "tfidf", "embedding"])
@pytest.mark.parametrize("bottleneck", [None, 3])
def test_a_feature_vector_starts_as_soft_and_is_linear_in_its_features(made, rows, features, bottleneck):
    soft, tasks = made(Soft(NoPrompt(), 2), moved=False)
    _, batch = rows(tasks, dict.fromkeys(tasks, 3))
    prompt = FeatureVector(NoPrompt(), 2, features=features, size=3, bottleneck=bottleneck)
    model, tasks = made(prompt, moved=False)
    _, measured = rows(tasks, dict.fromkeys(tasks, 3))
    torch.testing.assert_close(model.features(measured), soft.features(batch))
    model, tasks = made(prompt := FeatureVector(NoPrompt(), 2, features=features, size=3, bottleneck=bottleneck))
    _, measured = rows(tasks, {"stars": 4})
    row, embedded = prompt.rows["stars"], model.trunk.embedding(measured.ids)
    found = prompt.vectors("stars", Read(measured, embedded, torch.tensor([3, 1])))
    for place, number in enumerate([3, 1]):
        own = embedded[number, : measured.lengths[number]]
        phi = own.mean(0) if features == "embedding" else measured.numbers[number]
        if bottleneck is not None:
            phi = torch.tanh(row["maps"][0].weight @ phi + row["maps"][0].bias)
        expected = row["bias"].vectors + (row["maps"][-1].weight @ phi).view(2, 8)
        torch.testing.assert_close(found[place], expected, atol=1e-5, rtol=1e-5)


def test_a_prefix_that_starts_at_a_text_is_that_text_read_alone(made, rows):
    model, tasks = made(Prefix(NoPrompt(), 4, ["甲乙", "丁丙"]), moved=False)
    _, batch = rows(tasks, {"stars": 5})
    soft, _ = made(Soft(NoPrompt(), 4, ["甲乙", "丁丙"]), moved=False)
    words = soft.prompt.rows["stars"].vectors
    ids = [(model.trunk.embedding.weight == word).all(1).nonzero().item() for word in words]
    prefix = [(k.expand(5, -1, -1, -1), v.expand(5, -1, -1, -1)) for k, v in model.trunk.prefill(torch.tensor([ids]))]
    places = torch.arange(batch.ids.shape[1]).expand(5, -1)
    inside = places < batch.lengths[:, None]
    expected = model.trunk.encode(model.trunk.embed(batch.ids), inside, places + 4, prefix)
    found = model.prompt(model.trunk, batch)
    torch.testing.assert_close(found[inside], expected[inside], atol=1e-5, rtol=1e-5)


def test_a_prefix_starts_at_zero_or_at_the_layers_scale(made):
    model, _ = made(Prefix(NoPrompt(), 4), moved=False)
    assert not model.prompt.rows["stars"].states.any()
    random, _ = made(Prefix(NoPrompt(), 40, "random"), moved=False)
    states = random.prompt.rows["stars"].states
    keys = torch.stack([key for key, _ in random.trunk.prefill(torch.arange(2, 7)[None])])
    assert 0.5 < states[:, 0].std() / keys.square().mean().sqrt() < 2


def test_a_prefix_needs_keys_and_values(made):
    with pytest.raises(MtlError, match=r"prefix needs a trunk with keys and values, such as transformer\. Found lstm"):
        made(Prefix(NoPrompt(), 4), "lstm")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Soft(NoPrompt(), 0), "length should be a whole number of at least 1. Found 0"),
        (lambda: Soft(NoPrompt(), slot="middle"), "slot should be start, before, inside, after or end. Found 'middle'"),
        (lambda: Soft(NoPrompt(), {"a": 3}, shared=True), "length should be one for all tasks of a shared prompt"),
        (lambda: Soft(NoPrompt(), learning_rate=0), "learning_rate should be positive. Found 0"),
        (lambda: Reparam(NoPrompt(), hidden=0), "hidden should be a whole number of at least 1. Found 0"),
        (lambda: Multitask(NoPrompt(), rank=0), "rank should be a whole number of at least 1. Found 0"),
        (lambda: Multitask(NoPrompt(), {"a": 3}), "length and init should be one for all tasks"),
        (
            lambda: Soft(NoPrompt(), init="zero"),
            "init should be random, vocabulary, .* or a list of words. Found 'zero'",
        ),
        (lambda: FeatureVector(NoPrompt(), features="x"), "features should be measures, tfidf or embedding. Found 'x'"),
        (lambda: FeatureVector(NoPrompt(), bottleneck=0), "bottleneck should be a whole number of at least 1. Found 0"),
        (lambda: Attentional(NoPrompt(), sources=0), "sources should be a whole number of at least 1. Found 0"),
    ],
)
def test_a_wrong_option_stops_at_the_constructor(make, message):
    with pytest.raises(MtlError, match=message):
        make()
