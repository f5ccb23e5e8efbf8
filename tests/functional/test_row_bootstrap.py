import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from mtl.functional.row_bootstrap import paired_bootstrap, score


def answers(generator, targets_N, right):
    return np.where(generator.random(len(targets_N)) < right, targets_N, generator.integers(0, 3, len(targets_N)))


@pytest.mark.parametrize(
    ("metric", "oracle"),
    [("accuracy", accuracy_score), ("macro_f1", lambda t, a, **w: f1_score(t, a, average="macro", **w))],
)
def test_scores_of_weighted_rows_are_sklearns(metric, oracle):
    generator = np.random.default_rng(0)
    targets_N = generator.integers(0, 3, 50)
    two_SN = np.array([answers(generator, targets_N, right) for right in (0.2, 0.7)])
    weights_N = generator.integers(0, 3, 50)
    wanted = np.mean([oracle(targets_N, found, sample_weight=weights_N) for found in two_SN])
    assert score(metric, targets_N, two_SN, weights_N, 3) == pytest.approx(wanted)


def test_the_interval_of_accuracy_is_that_of_a_mean_of_differences():
    generator = np.random.default_rng(1)
    targets_N = generator.integers(0, 3, 400)
    ours, theirs = (answers(generator, targets_N, right) for right in (0.8, 0.6))
    gaps_N = (ours == targets_N) * 1.0 - (theirs == targets_N)
    found = paired_bootstrap("accuracy", targets_N, ours[None], theirs[None], 3)
    assert found.value == pytest.approx(gaps_N.mean())
    half = 1.96 * gaps_N.std() / 20
    assert (found.low, found.high) == pytest.approx((gaps_N.mean() - half, gaps_N.mean() + half), abs=0.012)
    assert found.p < 0.01


def test_equal_models_are_no_different_and_a_swap_only_changes_the_sign():
    generator = np.random.default_rng(2)
    targets_N = generator.integers(0, 3, 60)
    ours, theirs = (answers(generator, targets_N, 0.6)[None] for _ in range(2))
    same = paired_bootstrap("macro_f1", targets_N, ours, ours, 3, resamples=200)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    one, other = (paired_bootstrap("macro_f1", targets_N, *pair, 3, 200) for pair in ((ours, theirs), (theirs, ours)))
    assert (one.value, one.low, one.p) == pytest.approx((-other.value, -other.high, other.p))


def test_p_is_never_zero():
    targets_N, wrong_N = np.zeros(30, dtype=int), np.ones(30, dtype=int)
    found = paired_bootstrap("accuracy", targets_N, targets_N[None], wrong_N[None], 2, resamples=99)
    assert (found.value, found.low, found.high, found.p) == (1, 1, 1, 0.02)
