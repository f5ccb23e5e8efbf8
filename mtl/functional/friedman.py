"""Friedman's test over blocks, and how far apart two mean ranks must lie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mtl.functional.critical_difference import critical_difference


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of K methods over N blocks (1 is best), Friedman's chi-square and p, and the critical difference."""

    mean_ranks: tuple[float, ...]
    blocks: int
    chi_square: float
    p: float
    critical_difference: float
    alpha: float


def friedman(values_NK: np.ndarray, higher_is_better: Sequence[bool] | bool = True, alpha: float = 0.05) -> Ranks:
    """Compare K >= 3 methods over N >= 2 blocks (data sets, tasks or seeds), all present; Demsar 2006, section 3.2.2.

    Args:
        values_NK: one row a block.
        higher_is_better: of all blocks, or of each.
        alpha: level of the critical difference.
    """
    values_NK = np.asarray(values_NK, dtype=float)
    N, K = values_NK.shape
    if N < 2 or K < 3 or np.isnan(values_NK).any():
        raise ValueError(f"values should be 2 blocks or more of 3 methods or more, without nan. Found {N} x {K}.")
    signs_N = np.where(np.broadcast_to(higher_is_better, N), -1.0, 1.0)
    costs_NK = np.round(values_NK * signs_N[:, None], 12)  # as in mean ranks
    ranks_NK = stats.rankdata(costs_NK, axis=1)
    if (ranks_NK == ranks_NK[:, :1]).all():  # all tie everywhere
        chi_square, p = 0.0, 1.0
    else:
        chi_square, p = map(float, stats.friedmanchisquare(*costs_NK.T))
    distance = critical_difference(K, N, alpha)
    return Ranks(tuple(ranks_NK.mean(axis=0).tolist()), N, chi_square, p, distance, alpha)
