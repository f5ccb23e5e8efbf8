"""Pooling against a loop over rows."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.functional import pooling

BY_HAND = {
    "mean": lambda row: row.mean(0),
    "maximum": lambda row: row.max(0).values,
    "last": lambda row: row[-1],
}


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 2), st.integers(0, 1000))
def test_a_row_is_pooled_over_its_own_tokens(lengths, extra, seed):
    lengths = torch.tensor(lengths)
    features = torch.randn(len(lengths), int(lengths.max()) + extra, 3, generator=torch.Generator().manual_seed(seed))
    rows = [row[:length] for row, length in zip(features, lengths, strict=True)]
    for name, by_hand in BY_HAND.items():
        torch.testing.assert_close(getattr(pooling, name)(features, lengths), torch.stack(list(map(by_hand, rows))))
    turned = pooling.reverse(features, lengths)
    for row, length, found in zip(features, lengths, turned, strict=True):
        assert torch.equal(found, torch.cat((row[:length].flip(0), row[length:])))
    assert torch.equal(pooling.reverse(turned, lengths), features)
    assert pooling.inside(features, lengths).sum(1).tolist() == lengths.tolist()
