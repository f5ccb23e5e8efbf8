"""`encode`: places that exist may stand anywhere; a prefix is what stood before."""

import pytest
import torch

from mtl.model.lstm import LSTM
from mtl.model.transformer import Transformer

SIZE = 20
TRUNKS = {
    "transformer": lambda: Transformer(SIZE, False, max_length=30, width=8, attention_heads=2, feedforward=16),
    "lstm-one": lambda: LSTM(SIZE, False, units=8, embedding=6),
    "lstm-both": lambda: LSTM(SIZE, True, units=8, embedding=6),
}


@pytest.fixture(params=TRUNKS)
def trunk(request):
    torch.manual_seed(0)
    return TRUNKS[request.param]().eval()


@pytest.mark.parametrize("where", ["left", "right", "scattered"])
def test_padding_may_stand_on_either_side_and_in_between(trunk, where):
    lengths = torch.tensor([3, 1, 5])
    ids = torch.randint(2, SIZE, (3, 5))
    expected = trunk(ids, lengths)
    W = 9
    places = {
        "left": lambda n: torch.arange(W - n, W),
        "right": torch.arange,
        "scattered": lambda n: torch.randperm(W)[:n].sort().values,
    }[where]
    laid = torch.randint(2, SIZE, (3, W))
    inside = torch.zeros(3, W, dtype=torch.bool)
    positions = torch.zeros(3, W, dtype=torch.long)
    for row, n in enumerate(lengths.tolist()):
        at = places(n)
        laid[row, at], inside[row, at], positions[row, at] = ids[row, :n], True, torch.arange(n)
    found = trunk.encode(trunk.embed(laid), inside, positions)
    for row, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[row, inside[row]], expected[row, :n], atol=1e-5, rtol=1e-5)


def test_the_keys_and_values_of_a_text_stand_for_it_where_it_cant_look_back():
    """Oracle: torch's own layers over prefix and text, with a mask under which the prefix sees only itself."""
    torch.manual_seed(0)
    trunk = TRUNKS["transformer"]().eval()
    assert trunk.prefix_shape() == (2, 2, 4)
    said, ids = torch.randint(2, SIZE, (1, 4)), torch.randint(2, SIZE, (3, 5))
    inside = torch.arange(5) < torch.tensor([[3], [1], [5]])
    prefix = [(key.expand(3, -1, -1, -1), value.expand(3, -1, -1, -1)) for key, value in trunk.prefill(said)]
    found = trunk.encode(trunk.embed(ids), inside, torch.arange(4, 9).expand(3, -1), prefix)
    hidden = trunk.embed(torch.cat((said.expand(3, -1), ids), 1)) + trunk.positions(torch.arange(9))
    blocked = torch.zeros(9, 9, dtype=torch.bool)
    blocked[:4, 4:] = True
    outside = torch.cat((torch.zeros(3, 4, dtype=torch.bool), ~inside), 1)
    expected = trunk.layers(hidden, mask=blocked, src_key_padding_mask=outside)[:, 4:]
    torch.testing.assert_close(found[inside], expected[inside], atol=1e-5, rtol=1e-5)


def test_a_frozen_trunk_drops_nothing_out_and_trains_nothing():
    trunk = Transformer(SIZE, False, max_length=30, width=8, attention_heads=2, dropout=0.5, frozen=True).train()
    ids, lengths = torch.randint(2, SIZE, (3, 5)), torch.tensor([5, 5, 5])
    assert torch.equal(trunk(ids, lengths), trunk(ids, lengths))
    assert not any(parameter.requires_grad for parameter in trunk.parameters())
