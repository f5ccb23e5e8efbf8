"""The order of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.training.stream import RowStream


def stream(n, batch_size=4, seed=0, lengths=None):
    rows = np.arange(n) * 3 + 1
    every = np.random.default_rng(1).integers(1, 200, 3 * n + 1) if lengths is None else lengths
    return RowStream(rows, every, batch_size, seed)


@given(st.integers(1, 700), st.integers(1, 9), st.integers(0, 5), st.integers(1, 4))
def test_every_row_comes_once_an_epoch(n, batch_size, seed, epochs):
    made = stream(n, batch_size, seed)
    taken = made.take(0, epochs * n).reshape(epochs, n)
    for epoch in taken:
        assert sorted(epoch) == made.rows.tolist()


@given(st.integers(1, 60), st.integers(1, 7), st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_the_sequence_does_not_depend_on_how_it_is_taken(n, batch_size, counts):
    whole = stream(n, batch_size).take(0, sum(counts))
    made, position, parts = stream(n, batch_size), 0, []
    for count in counts:
        parts.append(made.take(position, count))
        position += count
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(made.take(counts[0] - 1, sum(counts[1:]) + 1), whole[counts[0] - 1 :])


def waste(made, steps):
    """Padding as a share of all tokens."""
    batches = made.take(0, steps * made.batch_size).reshape(steps, -1)
    lengths = made.lengths[batches]
    return 1 - lengths.sum() / (lengths.max(1) * made.batch_size).sum()


@pytest.mark.parametrize("n", [1000, 997])
def test_batches_of_like_length_waste_little_padding_in_every_epoch(n):
    bucketed = stream(n, 16)
    shuffled = stream(n, 16, lengths=np.zeros(3 * n + 1, int))
    shuffled_waste = stream(n, 16)
    shuffled_waste.take = shuffled.take
    steps = 3 * n // 16
    assert waste(bucketed, steps) < 0.25 * waste(shuffled_waste, steps)


def test_the_order_depends_on_the_seed_and_on_the_epoch():
    one = stream(48, 4).take(0, 96)
    assert one[:48].tolist() != one[48:].tolist()
    assert one.tolist() != stream(48, 4, seed=1).take(0, 96).tolist()
    assert one.tolist() == stream(48, 4).take(0, 96).tolist()


def test_short_and_long_batches_are_mixed():
    made = stream(1000, 10)
    means = made.lengths[made.take(0, 500)].reshape(50, 10).mean(1)
    assert abs(np.corrcoef(np.arange(50), means)[0, 1]) < 0.4
