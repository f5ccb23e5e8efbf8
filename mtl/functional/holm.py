"""Holm's correction of p-values for many comparisons."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family of tests, in their order: reject those of at most alpha.

    The i-th smallest of m is multiplied by m - i + 1, never less than one before it, at most 1 (Holm 1979). A nan is a
    test that was not made: it stays nan and does not count in m.
    """
    p_M = np.asarray(p_values, dtype=float)
    adjusted_M = np.full_like(p_M, np.nan)
    made = np.flatnonzero(~np.isnan(p_M))
    order = made[np.argsort(p_M[made], kind="stable")]
    steps = p_M[order] * np.arange(len(order), 0, -1)
    adjusted_M[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted_M.tolist()
