"""Linear CKA against its definition by kernels, and what it does not change under."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.functional.similarity import linear_cka


def features(seed, rows=12, width=4):
    return np.random.default_rng(seed).normal(size=(rows, width))


def by_kernels(ours, theirs):
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with HSIC(K, L) = tr(K H L H), K = X X', L = Y Y'."""
    n = len(ours)
    H = np.eye(n) - np.ones((n, n)) / n
    K, L = ours @ ours.T, theirs @ theirs.T
    hsic = lambda A, B: np.trace(A @ H @ B @ H)  # noqa: E731
    return hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))


seeds = st.integers(0, 10_000)


@given(seeds, seeds, st.integers(1, 6))
def test_it_is_the_ratio_of_hsic_of_the_kernels(one, other, width):
    ours, theirs = features(one), features(other, width=width)
    assert linear_cka(ours, theirs) == pytest.approx(by_kernels(ours, theirs))
    assert 0 <= linear_cka(ours, theirs) <= 1 + 1e-12


@given(seeds, seeds, st.floats(0.01, 100), st.floats(-5, 5))
def test_a_rotation_a_factor_and_a_shift_change_nothing(one, other, factor, shift):
    ours, theirs = features(one), features(other)
    turned, _ = np.linalg.qr(features(one + 1, rows=4))
    assert linear_cka(factor * ours @ turned + shift, theirs) == pytest.approx(linear_cka(ours, theirs))
    assert linear_cka(factor * ours @ turned + shift, ours) == pytest.approx(1)


def test_any_linear_map_does_change_it():
    ours = features(0)
    assert linear_cka(ours * [100, 1, 1, 1], ours) < 0.9


def test_features_at_right_angles_have_nothing_in_common():
    assert linear_cka(np.array([[1.0], [1], [-1], [-1]]), np.array([[1.0], [-1], [1], [-1]])) == 0
    assert np.isnan(linear_cka(np.ones((3, 2)), features(0, rows=3)))


def test_other_rows_are_refused():
    with pytest.raises(ValueError, match="as many rows as `ours_ND`, 12"):
        linear_cka(features(0), features(0, rows=11))
