"""What trains in a pretrained trunk, what is saved, and what is refused."""

import pytest
import torch

pytest.importorskip("transformers", reason="the extra llm is not installed")
pytest.importorskip("peft", reason="the extra llm is not installed")

from mtl.errors import MtlError
from mtl.model.pretrained.trunk import Pretrained

IDS, LENGTHS = torch.tensor([[5, 6, 7, 8], [9, 5, 0, 0]]), torch.tensor([4, 2])


def make(folder, causal, **options):
    torch.manual_seed(0)
    return Pretrained(0, False, str(folder), causal, **options)


@pytest.fixture(params=["bert", "llama"])
def make_trunk(request, tiny_model):
    return lambda **options: make(tiny_model(request.param), request.param == "llama", **options)


def test_a_frozen_trunk_trains_nothing_and_drops_nothing_out(make_trunk):
    trunk = make_trunk().train()
    assert not any(parameter.requires_grad for parameter in trunk.parameters())
    assert not any(module.training for module in trunk.backbone.modules())
    assert torch.equal(trunk(IDS, LENGTHS), trunk(IDS, LENGTHS))
    assert make_trunk(tuning="full").train().backbone.training


def test_lora_trains_its_adapters_and_nothing_else(make_trunk):
    trunk, before = make_trunk(tuning="lora", lora_rank=2, lora_modules="all-linear"), make_trunk()
    torch.testing.assert_close(trunk.eval()(IDS, LENGTHS), before(IDS, LENGTHS))  # B is zero at first
    trained = {name for name, parameter in trunk.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    frozen = {name: p.clone() for name, p in trunk.named_parameters() if name not in trained}
    optimizer = torch.optim.AdamW([p for p in trunk.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        trunk.train()(IDS, LENGTHS).square().mean().backward()
        optimizer.step()
    assert all(torch.equal(p, frozen[name]) for name, p in trunk.named_parameters() if name in frozen)
    assert not torch.allclose(trunk.eval()(IDS, LENGTHS), before(IDS, LENGTHS))


FROM_1 = [{"tuning": "full", "train_from": 1}, {"tuning": "lora", "train_from": 1, "lora_modules": "all-linear"}]
TUNINGS = [{"tuning": "frozen"}, {"tuning": "full"}, {"tuning": "lora"}, *FROM_1]


@pytest.mark.parametrize("options", FROM_1, ids=["full", "lora"])
def test_from_a_layer_on_it_trains_and_below_it_nothing_moves_or_drops_out(make_trunk, options):
    trunk = make_trunk(**options).train()
    (last,) = trunk.last_layer()
    below = [module for module in trunk.backbone.modules() if module not in set(last.modules())]
    assert not any(module.training for module in below)
    assert all(module.training for module in last.modules())
    before = {name: p.clone() for name, p in trunk.named_parameters()}
    optimizer = torch.optim.SGD([p for p in trunk.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        trunk(IDS, LENGTHS).square().mean().backward()
        optimizer.step()
    moved = {name for name, p in trunk.named_parameters() if not torch.equal(p, before[name])}
    own, norm = ("lora_", "lora_") if options["tuning"] == "lora" else ("", "backbone.norm.")
    trained = {name for name in before if (".1." in name and own in name) or norm in name}
    assert {name for name, p in trunk.named_parameters() if p.requires_grad} == trained
    assert moved <= trained
    assert len(moved) > len(trained) / 2
    assert not any("lora_" in name for name in before if ".0." in name)


@pytest.mark.parametrize("options", FROM_1, ids=["full", "lora"])
def test_the_states_below_are_all_that_a_trunk_needs_to_go_on(make_trunk, options):
    trunk = make_trunk(**options).train()
    for module in trunk.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    found = []
    for features in (lambda: trunk(IDS, LENGTHS), lambda: trunk.above(trunk.below(IDS, LENGTHS), LENGTHS)):
        trunk.zero_grad()
        features()[torch.arange(4) < LENGTHS[:, None]].square().sum().backward()
        found.append({name: p.grad.clone() for name, p in trunk.named_parameters() if p.requires_grad})
    assert len(found[0]) > 3
    torch.testing.assert_close(*found)
    whole, states = trunk(IDS, LENGTHS), trunk.below(IDS, LENGTHS)
    trunk.known_states, trunk.embed = lambda ids, lengths: states, None
    assert torch.equal(trunk(IDS, LENGTHS), whole)  # to the bit, the padding being the same


@pytest.mark.parametrize("options", TUNINGS, ids=str)
def test_what_was_trained_is_saved_and_comes_back_on_a_fresh_trunk(make_trunk, options):
    trunk = make_trunk(**options)
    trained = {name: p for name, p in trunk.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(0.1)
    model = torch.nn.ModuleDict({"trunk": trunk, "head": torch.nn.Linear(2, 2)})
    state = model.state_dict()
    assert set(state) == {f"trunk.{name}" for name in trained} | {"head.weight", "head.bias"}
    fresh = torch.nn.ModuleDict({"trunk": make_trunk(**options), "head": torch.nn.Linear(2, 2)})
    fresh.load_state_dict(state)
    torch.testing.assert_close(fresh["trunk"].eval()(IDS, LENGTHS), trunk.eval()(IDS, LENGTHS))
    for name in list(state):
        with pytest.raises(RuntimeError, match="Missing key"):
            fresh.load_state_dict({key: value for key, value in state.items() if key != name})


@pytest.mark.parametrize("options", TUNINGS, ids=str)
def test_recomputed_layers_give_the_same_gradients(make_trunk, options):
    found = []
    for checkpointing in (False, True):
        trunk = make_trunk(**options, gradient_checkpointing=checkpointing).train()
        for module in trunk.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        embedded = trunk.embed(IDS).detach().requires_grad_()
        inside = torch.arange(4) < LENGTHS[:, None]
        features = trunk.encode(embedded, inside, torch.arange(4).expand(2, 4))
        calls = []
        inside_layer = next(m for m in trunk.last_layer()[0].modules() if isinstance(m, torch.nn.Linear))
        inside_layer.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        features.square().sum().backward()
        assert len(calls) == checkpointing
        found.append(embedded.grad)
    torch.testing.assert_close(*found)


def test_the_last_layer_is_the_last_of_the_model(make_trunk):
    trunk = make_trunk(tuning="full")
    (last,) = trunk.last_layer()
    read = []
    last.register_forward_hook(lambda module, given, out: read.append(out[0] if isinstance(out, tuple) else out))
    features = trunk(IDS, LENGTHS)
    normed = trunk.backbone.norm(read[0]) if trunk.causal else read[0]
    torch.testing.assert_close(features, normed)


def test_pooling_reads_the_texts_own_tokens(make_trunk):
    features = torch.randn(2, 4, 32)
    expected = {
        "mean": torch.stack((features[0].mean(0), features[1, :2].mean(0))),
        "max": torch.stack((features[0].amax(0), features[1, :2].amax(0))),
        "first": features[:, 0],
        "last": torch.stack((features[0, 3], features[1, 1])),
    }
    for pooling, pooled in expected.items():
        torch.testing.assert_close(make_trunk(pooling=pooling).pool(features, LENGTHS), pooled)


def test_weights_in_half_precision_give_float32_features_near_those_of_float32(make_trunk):
    half, whole = make_trunk(dtype="bfloat16"), make_trunk()
    assert half.backbone.dtype == torch.bfloat16
    assert half(IDS, LENGTHS).dtype == torch.float32
    cosine = torch.cosine_similarity(half.pool(half(IDS, LENGTHS), LENGTHS), whole.pool(whole(IDS, LENGTHS), LENGTHS))
    assert cosine.min() > 0.99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tuning": "some"}, "`tuning` should be frozen, full, lora. Found 'some'"),
        ({"pooling": "sum"}, "`pooling` should be mean, first, last, max. Found 'sum'"),
        ({"dtype": "int8"}, "`dtype` should be float32, bfloat16, float16. Found 'int8'"),
        ({"tuning": "full", "dtype": "bfloat16"}, "`dtype` should be float32 for tuning=full"),
        ({"train_from": 1}, "`train_from` needs tuning=full or lora. Found train_from=1 and tuning=frozen"),
        ({"tuning": "full", "train_from": 2}, "`train_from` should be null or a layer from 0 to 1. Found 2"),
        ({"tuning": "lora", "train_from": -1}, "`train_from` should be null or a layer from 0 to 1. Found -1"),
        ({"tuning": "full", "train_from": True}, "`train_from` should be null or a layer from 0 to 1. Found True"),
        ({"tuning": "full", "train_from": "1"}, "`train_from` should be null or a layer from 0 to 1. Found '1'"),
        ({"tuning": "lora", "lora_modules": ["nope"]}, "lora can't be added to .*nope"),
        ({"tuning": "lora", "lora_rank": 0}, "lora can't be added to .*r"),
    ],
)
def test_a_wrong_option_stops_at_the_constructor(make_trunk, options, message):
    with pytest.raises((ValueError, MtlError), match=message):
        make_trunk(**options)


def test_the_wrong_kind_of_model_is_named(tiny_model):
    with pytest.raises(MtlError, match=r"is a decoder \(llama\): take trunk=hf_decoder"):
        make(tiny_model("llama"), False)
    with pytest.raises(MtlError, match=r"is an encoder \(bert\): take trunk=hf_encoder"):
        make(tiny_model("bert"), True)


def test_weights_that_are_not_in_the_file_are_never_made_up(tiny_model):
    with pytest.raises(MtlError, match="lacks its weights for answering with words, such as cls"):
        make(tiny_model("bert", language_model=False), False, language_model=True)


def test_keys_and_values_are_not_lost_to_recomputation(make_trunk):
    trunk = make_trunk(gradient_checkpointing=True)
    layers, heads, width = trunk.prefix_shape()
    prefix = [(torch.zeros(2, heads, 1, width),) * 2] * layers
    with pytest.raises(MtlError, match="gradient_checkpointing should be false"):
        trunk.encode(trunk.embed(IDS), torch.ones(2, 4).bool(), torch.arange(4).expand(2, 4), prefix)
