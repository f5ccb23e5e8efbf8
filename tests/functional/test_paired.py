import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtl.functional.critical_difference import critical_difference
from mtl.functional.friedman import friedman
from mtl.functional.holm import holm
from mtl.functional.paired import bootstrap_interval, pairs_needed, permutation_p, smallest_p, wilcoxon_p

DIFFERENCES = st.lists(st.integers(-40, 40).map(lambda x: x / 8), min_size=2, max_size=7)


@given(DIFFERENCES)
def test_permutation_counts_all_changes_of_sign(differences):
    observed = abs(sum(differences))
    signs = itertools.product((-1, 1), repeat=len(differences))
    sums = [abs(sum(s * d for s, d in zip(row, differences, strict=True))) for row in signs]
    assert permutation_p(differences) == pytest.approx(np.mean([s >= observed for s in sums]))


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=7, unique=True), st.data())
def test_wilcoxon_counts_all_changes_of_sign_of_the_ranks(sizes, data):
    ranks = stats.rankdata(sizes)
    signs = data.draw(st.lists(st.sampled_from((-1, 1)), min_size=len(sizes), max_size=len(sizes)))
    observed = abs(np.dot(signs, ranks))
    all_signs = np.array(list(itertools.product((-1, 1), repeat=len(sizes))))
    expected = np.mean(np.abs(all_signs @ ranks) >= observed)
    assert wilcoxon_p([s * x for s, x in zip(signs, sizes, strict=True)]) == pytest.approx(expected)


@pytest.mark.parametrize("pairs", range(2, 10))
def test_no_test_goes_under_the_smallest_p(pairs):
    best = [1.0 + i for i in range(pairs)]
    assert permutation_p(best) == wilcoxon_p(best) == pytest.approx(smallest_p(pairs))


def test_six_pairs_are_needed_for_five_percent():
    assert (pairs_needed(0.05), pairs_needed(0.05 / 8), pairs_needed(1.0)) == (6, 9, 1)


def test_many_pairs_are_sampled_and_always_the_same():
    x = np.random.default_rng(1).normal(0.4, 1, 30)
    assert permutation_p(x) == permutation_p(x)
    assert permutation_p(x) == pytest.approx(stats.ttest_1samp(x, 0).pvalue, abs=0.01)


def test_equal_runs_do_not_differ():
    assert permutation_p([0.0] * 6) == wilcoxon_p([0.0] * 6) == 1
    assert np.isnan(permutation_p([]))
    assert np.isnan(wilcoxon_p([1.0, np.nan]))


def test_the_interval_is_that_of_scipy_and_always_the_same():
    x = np.random.default_rng(0).exponential(size=40)
    low, high = bootstrap_interval(x)
    assert (low, high) == bootstrap_interval(x)
    student = stats.t.interval(0.95, 39, x.mean(), stats.sem(x))
    assert low == pytest.approx(student[0], abs=0.1)
    assert high == pytest.approx(student[1], abs=0.1)
    assert high - x.mean() > x.mean() - low  # it follows the skew, Student's does not
    narrow = bootstrap_interval(x, 0.5)
    assert low < narrow[0] < narrow[1] < high


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0, 2.0], [1.0, np.nan], []])
def test_there_is_no_interval_of_nothing(values):
    assert bootstrap_interval(values) is None


def test_holm_by_hand():
    """Three tests of 0.01, 0.04 and 0.03: 3 x 0.01, 2 x 0.03, and 0.04 not below the one before it."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []


def test_holm_does_not_count_tests_that_were_not_made():
    assert holm([0.01, np.nan, 0.03]) == pytest.approx([0.02, np.nan, 0.03], nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_step_by_step(p_values):
    """Holm 1979: go from the smallest up while p <= alpha / (m - i + 1)."""
    adjusted = holm(p_values)
    for alpha in (0.01, 0.05, 0.2):
        rejected = set()
        for step, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if p_values[index] * (len(p_values) - step) > alpha:
                break
            rejected.add(index)
        assert {index for index, p in enumerate(adjusted) if p <= alpha} == rejected


@pytest.mark.parametrize(
    ("methods", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_critical_values_are_those_of_the_table(methods, q):
    """Demsar 2006, table 5a, alpha = 0.05."""
    distance = critical_difference(methods, 6)  # sqrt(K (K + 1) / 36)
    assert distance * 6 / np.sqrt(methods * (methods + 1)) == pytest.approx(q, abs=0.001)


def test_the_worked_example():
    """Demsar 2006, section 3.2.2: four methods, 14 data sets, CD 1.25 at 0.05 and 1.12 at 0.10."""
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, 0.1) == pytest.approx(1.12, abs=0.005)


def test_friedman_by_hand():
    """Three methods in the same order in both blocks: 12 N / (K (K + 1)) (sum R^2 - K (K + 1)^2 / 4) = 4."""
    found = friedman(np.array([[0.9, 0.8, 0.7], [5.0, 6.0, 7.0]]), [True, False])
    assert found.mean_ranks == (1, 2, 3)
    assert found.chi_square == pytest.approx(4)
    assert found.p == pytest.approx(stats.chi2.sf(4, 2))
    assert found.blocks == 2


def test_friedman_of_equal_methods():
    found = friedman(np.ones((3, 4)))
    assert (found.mean_ranks, found.chi_square, found.p) == ((2.5,) * 4, 0, 1)


@pytest.mark.parametrize("shape", [(1, 3), (4, 2)])
def test_friedman_refuses_too_little(shape):
    with pytest.raises(ValueError, match="2 blocks or more of 3 methods or more"):
        friedman(np.zeros(shape))
