import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency
from sklearn.feature_selection import chi2 as sklearn_chi2

from mtl.functional.association import chi2, log_odds, pmi


@st.composite
def rows(draw):
    """Labels of 40 rows (two or three) and which of 5 words each has."""
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    labels_N = np.concatenate([[0, 1, 2], generator.integers(0, 3, 37)])
    has_NW = (generator.random((40, 5)) < generator.random(5)).astype(int)
    assume((has_NW.sum(0) > 0).all() and (has_NW.sum(0) < 40).all())
    return labels_N, has_NW


def counted(labels_N, has_NW):
    one_hot = np.eye(3, dtype=int)[labels_N]
    return one_hot.T @ has_NW, one_hot.sum(0)


@given(rows())
def test_chi2_is_that_of_scipys_table_with_a_sign(found):
    labels_N, has_NW = found
    counts_YW, sizes_Y = counted(labels_N, has_NW)
    got = chi2(counts_YW, sizes_Y)
    for y in range(3):
        for w in range(5):
            table = [[np.sum((labels_N == y) & (has_NW[:, w] == v)) for v in (0, 1)], [0, 0]]
            table[1] = [np.sum((labels_N != y) & (has_NW[:, w] == v)) for v in (0, 1)]
            assert abs(got[y, w]) == pytest.approx(chi2_contingency(table, correction=False).statistic)
            commoner = counts_YW[y, w] * 40 - sizes_Y[y] * has_NW[:, w].sum()
            assert np.sign(got[y, w]) == np.sign(commoner) or abs(got[y, w]) < 1e-12


@given(rows())
def test_chi2_is_sklearns_and_the_part_of_the_rows_without_the_word(found):
    labels_N, has_NW = found
    two = np.minimum(labels_N, 1)
    counts_YW = np.eye(2, dtype=int)[two].T @ has_NW
    theirs, _ = sklearn_chi2(has_NW, two)
    whole = theirs * 40 / (40 - has_NW.sum(0))
    np.testing.assert_allclose(np.abs(chi2(counts_YW, np.bincount(two))[0]), whole)


def test_pmi_by_hand():
    # 10 rows, 4 of label 0; word 0 in 3 of 4 and 1 of 6; word 1 in none of 4 and 2 of 6
    got = pmi(np.array([[3, 0], [1, 2]]), np.array([4, 6]))
    np.testing.assert_allclose(got[0, 0], np.log(0.3 / (0.4 * 0.4)))
    np.testing.assert_allclose(got[1], [np.log(0.1 / (0.4 * 0.6)), np.log(0.2 / (0.2 * 0.6))])
    assert got[0, 1] == -np.inf


def test_log_odds_by_hand():
    # label 0 says word 0 6 times and word 1 4 times; label 1: 2 and 8; the prior is worth 10 words: 4 and 6
    got = log_odds(np.array([[6, 4], [2, 8]]), strength=10)
    delta = np.log((6 + 4) / (10 + 10 - 6 - 4)) - np.log((2 + 4) / (10 + 10 - 2 - 4))
    np.testing.assert_allclose(got[0, 0], delta / np.sqrt(1 / 10 + 1 / 6))
    np.testing.assert_allclose(got[0], -got[1])


def test_a_strong_prior_takes_rare_words_back():
    times_YW = np.array([[3, 500, 300], [0, 500, 200]])
    weak, strong = log_odds(times_YW, 1.0), log_odds(times_YW, 1e5)
    assert weak[0, 2] > 0
    assert abs(strong[0, 0]) < abs(weak[0, 0])
