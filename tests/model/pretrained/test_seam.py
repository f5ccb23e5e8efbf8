"""Our reading of masks, positions and caches against transformers' own forward and against peft."""

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")
peft = pytest.importorskip("peft", reason="the extra llm is not installed")

from mtl.errors import MtlError  # noqa: E402
from mtl.model.pretrained import seam  # noqa: E402
from mtl.model.pretrained.trunk import Pretrained  # noqa: E402

DECODERS, ENCODERS = ("gpt2", "llama", "qwen2"), ("bert", "roberta", "modernbert", "distilbert")
KINDS = DECODERS + ENCODERS
close = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def trunk_of(folder, kind, **options):
    torch.manual_seed(0)
    return Pretrained(0, False, str(folder), kind in DECODERS, **options).eval()


def own(folder):
    return transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()


def batch(lengths=(3, 7, 1, 5), width=7):
    torch.manual_seed(1)
    ids = torch.randint(5, 25, (len(lengths), width))
    return ids, torch.tensor(lengths)


def spread(values, places, width):
    """Rows of values put at the given places of wider rows."""
    wide = values.new_full((len(values), width, *values.shape[2:]), 3)
    inside = torch.zeros(len(values), width, dtype=torch.bool)
    for row, at in enumerate(places):
        wide[row, at] = values[row, : len(at)]
        inside[row, at] = True
    return wide, inside


def counted(inside):
    return (inside.long().cumsum(1) - 1).clamp(min=0)


def test_features_are_those_of_transformers_own_forward(tiny_model, kind):
    folder = tiny_model(kind)
    ids, lengths = batch()
    found = trunk_of(folder, kind)(ids, lengths)
    assert found.shape == (4, 7, 32)
    for row, length in enumerate(lengths.tolist()):
        expected = own(folder)(input_ids=ids[row : row + 1, :length]).last_hidden_state[0]
        torch.testing.assert_close(found[row, :length], expected, **close)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("prefixed", [False, True])
def test_rows_of_very_different_lengths_go_through_in_parts_and_nothing_changes(
    tiny_model, kind, prefixed, monkeypatch
):
    trunk, (ids, lengths) = trunk_of(tiny_model(kind), kind), batch((2, 9, 3, 30) * 5, 30)
    layers, heads, width = trunk.prefix_shape()
    prefix = [tuple(torch.randn(20, heads, 2, width) for _ in "kv") for _ in range(layers)] if prefixed else None
    inside = torch.arange(30) < lengths[:, None]
    places = counted(inside) + 2 * prefixed
    embedded = trunk.embed(ids).detach().requires_grad_()
    told = torch.randn(20, 30, 32).masked_fill(~inside[..., None], 0)

    def features():
        found = trunk.encode(embedded, inside, places, prefix)
        return found, torch.autograd.grad((found * told).sum(), embedded)[0]

    blocks, run = [], trunk._run_block
    monkeypatch.setattr(trunk, "_run_block", lambda rows, *rest: (blocks.append(rows.shape[1]), run(rows, *rest))[1])
    parts = features()
    assert blocks == [3, 30]
    monkeypatch.setattr("mtl.model.pretrained.trunk.alike", lambda lengths: [torch.arange(len(lengths))])
    for found, expected in zip(parts, features(), strict=True):
        torch.testing.assert_close(found, expected, **close)


@pytest.mark.parametrize("side", ["left", "right", "middle"])
def test_where_the_padding_stands_changes_nothing(tiny_model, kind, side):
    trunk = trunk_of(tiny_model(kind), kind)
    ids, lengths = batch()
    unpadded = [trunk(ids[row : row + 1, :n], torch.tensor([n]))[0] for row, n in enumerate(lengths.tolist())]
    places = {
        "left": [list(range(9 - n, 9)) for n in lengths.tolist()],
        "right": [list(range(n)) for n in lengths.tolist()],
        "middle": [[0, *range(10 - n, 9)] for n in lengths.tolist()],
    }[side]
    embedded, inside = spread(trunk.embed(ids), places, 9)
    found = trunk.encode(embedded, inside, counted(inside))
    for row, at in enumerate(places):
        torch.testing.assert_close(found[row, at], unpadded[row], **close)
    assert not found[~inside].any()


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2", "bert", "roberta"])
def test_a_prefix_is_pefts_prefix(tiny_model, kind):
    folder = tiny_model(kind)
    trunk = trunk_of(folder, kind)
    layers, heads, width = trunk.prefix_shape()
    config = peft.PrefixTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=3)
    if kind in ("llama", "qwen2"):
        config.num_attention_heads, config.token_dim, config.num_layers = heads, heads * width, layers
    theirs = peft.get_peft_model(own(folder), config).eval()
    torch.nn.init.normal_(theirs.prompt_encoder["default"].embedding.weight)
    table = theirs.prompt_encoder["default"].embedding.weight.detach().view(3, layers, 2, heads, width)
    ids, lengths = batch()
    mask = (torch.arange(7) < lengths[:, None]).long()
    expected = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
    prefix = [
        tuple(table[:, layer, which].transpose(0, 1)[None].expand(4, -1, -1, -1) for which in (0, 1))
        for layer in range(layers)
    ]
    inside = mask.bool()
    found = trunk.encode(trunk.embed(ids), inside, counted(inside) + 3, prefix)
    torch.testing.assert_close(found[inside], expected[inside], **close)
    assert (found - trunk(ids, lengths))[inside].abs().max() > 0.01


@pytest.mark.parametrize("kind", DECODERS)
def test_the_keys_and_values_of_a_text_are_the_text_itself(tiny_model, kind):
    folder = tiny_model(kind)
    trunk, model = trunk_of(folder, kind), own(folder)
    ids, _ = batch()
    ids[:, :3] = ids[:1, :3]
    prefix = [tuple(part.expand(4, -1, -1, -1) for part in pair) for pair in trunk.prefill(ids[:1, :3])]
    inside = torch.ones(4, 4, dtype=torch.bool)
    found = trunk.encode(trunk.embed(ids[:, 3:]), inside, counted(inside) + 3, prefix)
    torch.testing.assert_close(found, model(input_ids=ids).last_hidden_state[:, 3:], **close)


@pytest.mark.parametrize("kind", ["bert", "roberta", "llama"])
def test_what_is_filled_in_has_the_declared_shape(tiny_model, kind):
    trunk = trunk_of(tiny_model(kind), kind)
    layers, heads, width = trunk.prefix_shape()
    filled = trunk.prefill(torch.tensor([[5, 6, 7]]))
    assert [tuple(part.shape) for pair in filled for part in pair] == [(1, heads, 3, width)] * 2 * layers


@pytest.mark.parametrize("kind", ["modernbert", "distilbert"])
def test_a_model_without_a_cache_has_no_prefix(tiny_model, kind):
    assert trunk_of(tiny_model(kind), kind).prefix_shape() is None


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_a_prefix_gets_gradients_through_a_frozen_trunk_also_under_autocast(tiny_model, kind):
    trunk = trunk_of(tiny_model(kind), kind).train()
    layers, heads, width = trunk.prefix_shape()
    prefix = [tuple(torch.randn(4, heads, 2, width, requires_grad=True) for _ in "kv") for _ in range(layers)]
    ids, lengths = batch()
    inside = torch.arange(7) < lengths[:, None]
    with torch.autocast("cpu", torch.bfloat16):
        found = trunk.encode(trunk.embed(ids), inside, counted(inside), prefix)
    assert found.dtype == torch.float32
    found.sum().backward()
    assert all(part.grad.abs().sum() > 0 for pair in prefix for part in pair)
    assert all(parameter.grad is None for parameter in trunk.parameters())


def deep(folder):
    """As the folder's model, with four layers."""
    torch.manual_seed(2)
    fields = transformers.AutoConfig.from_pretrained(folder).to_dict() | {"num_hidden_layers": 4, "layer_types": None}
    return transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**fields))


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_what_a_layer_is_given_is_transformers_own_hidden_state_and_goes_on_to_its_last_one(tiny_model, kind, layer):
    model = deep(tiny_model(kind)).eval()
    ids, lengths = batch()
    inside = torch.arange(7) < lengths[:, None]
    expected = model(input_ids=ids, attention_mask=inside.long(), output_hidden_states=True)
    given = model.get_input_embeddings()(ids), lengths, torch.arange(7).expand(4, -1)
    calls = []
    for number, each in enumerate(seam.layers(model)):
        each.register_forward_hook(lambda *_, number=number: calls.append(number))
    states = seam.below(model, kind in DECODERS, *given, layer)
    assert calls == list(range(layer))
    torch.testing.assert_close(states[inside], expected.hidden_states[layer][inside], **close)
    found = seam.above(model, kind in DECODERS, states, *given[1:], layer)
    torch.testing.assert_close(found[inside], expected.last_hidden_state[inside], **close)
    again = model(input_ids=ids, attention_mask=inside.long()).last_hidden_state  # nothing is left behind
    assert torch.equal(again, expected.last_hidden_state)


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_what_trains_from_a_layer_on_is_that_layer_and_all_that_comes_after(tiny_model, kind, layer):
    model = deep(tiny_model(kind))
    seam.freeze_below(model, kind in DECODERS, layer)
    after = {"gpt2": "ln_f.", "llama": "norm.", "qwen2": "norm.", "modernbert": "final_norm."}.get(kind, "pooler.")
    stack = {"gpt2": "h", "distilbert": "transformer.layer"}.get(kind, "layers" if after[0] != "p" else "encoder.layer")
    trained = tuple(f"{stack}.{number}." for number in range(layer, 4))
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == name.startswith((*trained, after)), name


def test_layers_that_share_their_weights_are_not_known():
    config = transformers.AutoConfig.for_model("albert", vocab_size=30, hidden_size=8, num_attention_heads=2)
    with pytest.raises(MtlError, match="where AlbertModel keeps its layers is not known here"):
        seam.layers(transformers.AutoModel.from_config(config))


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("at_once", [4096, 15])
def test_vectors_behind_a_text_whose_keys_are_known_are_those_of_the_whole(tiny_model, kind, at_once, monkeypatch):
    monkeypatch.setattr("mtl.model.pretrained.trunk.PLACES", at_once)
    trunk = trunk_of(tiny_model(kind), kind)
    ids, lengths = batch()
    keys = trunk.keys(ids, lengths)
    right = torch.stack([row.roll(7 - length, 0) for row, length in zip(keys, lengths.tolist(), strict=True)])
    right[torch.arange(7) < 7 - lengths[:, None]] = 9.0  # what stands before a text is not read
    known = {tuple(text): block for text, block in zip(ids.tolist(), right, strict=True)}
    vectors, counts = torch.randn(4, 3, 32), torch.tensor([3, 1, 2, 3])
    assert trunk.follow(vectors, counts, ids, lengths) is None
    trunk.known_keys = lambda ids, lengths: torch.stack([known[tuple(text)] for text in ids.tolist()])
    found = trunk.follow(vectors, counts, ids, lengths)
    for row, (length, count) in enumerate(zip(lengths.tolist(), counts.tolist(), strict=True)):
        embedded = torch.cat((own(tiny_model(kind)).get_input_embeddings()(ids[row, :length]), vectors[row, :count]))
        expected = own(tiny_model(kind))(inputs_embeds=embedded[None]).last_hidden_state[0, length:]
        torch.testing.assert_close(found[row, :count], expected, **close)
