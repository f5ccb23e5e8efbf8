"""Tests and an interval for differences of pairs, by scipy; exact where that is possible, seeded where it is not."""

import warnings
from collections.abc import Sequence
from math import inf, nan

import numpy as np
from scipy import stats

RESAMPLES = 9_999
EXACT_PAIRS = 16
"""Up to so many pairs all sign changes are counted: 2^16 = 65,536."""


def smallest_p(pairs: int) -> float:
    """What an exact two-sided test of n pairs can't go under: 2 / 2^n."""
    return min(2 / 2**pairs, 1.0)


def pairs_needed(alpha: float) -> int:
    """The fewest pairs with which an exact two-sided test can reach `alpha`."""
    return next(pairs for pairs in range(1, 100) if smallest_p(pairs) <= alpha)


def permutation_p(differences: Sequence[float]) -> float:
    """Two-sided p that the mean difference is 0, over changes of sign (Fisher 1935); exact for up to 16 pairs."""
    if not _usable(differences):
        return nan
    x_N = np.asarray(differences, dtype=float)
    count = inf if len(x_N) <= EXACT_PAIRS else RESAMPLES
    found = stats.permutation_test(
        (x_N,), _mean, permutation_type="samples", vectorized=True, n_resamples=count, random_state=0, axis=0
    )
    return float(found.pvalue)


def wilcoxon_p(differences: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test (1945); zeros are left out, exact where scipy can; 1 if all are 0."""
    if not _usable(differences):
        return nan
    if not np.any(differences):
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def bootstrap_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Interval of the mean: bias-corrected and accelerated bootstrap (Efron 1987), 9,999 resamples, always the same.

    For pairs give their differences. None for fewer than two values, a nan, or values that are all the same.
    """
    x_N = np.asarray(values, dtype=float)
    if len(x_N) < 2 or not np.isfinite(x_N).all() or np.ptp(x_N) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a degenerate interval is nan, and answered below
        found = stats.bootstrap(
            (x_N,), np.mean, confidence_level=level, n_resamples=RESAMPLES, method="BCa", random_state=0
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    return None if np.isnan(low) or np.isnan(high) else (low, high)


def _usable(differences: Sequence[float]) -> bool:
    return len(differences) > 0 and bool(np.isfinite(differences).all())


def _mean(x: np.ndarray, axis: int) -> np.ndarray:
    return x.mean(axis=axis)
