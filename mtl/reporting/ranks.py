"""Mean rank: where a row stands on average over the columns, among the rows that have them all."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata


def mean_ranks(values_RC: np.ndarray, higher_is_better_C: Sequence[bool]) -> np.ndarray:
    """The mean over columns of each row's rank: 1 is best, ties share their average rank, a row with a nan has none."""
    ranks_R = np.full(len(values_RC), np.nan)
    complete_R = ~np.isnan(values_RC).any(axis=1)
    signs_C = np.where(higher_is_better_C, -1.0, 1.0)
    if complete_R.any() and values_RC.shape[1]:
        # equal means of the same numbers may differ in the last bit
        costs_RC = np.round(values_RC[complete_R] * signs_C, 12)
        ranks_R[complete_R] = rankdata(costs_RC, axis=0).mean(axis=1)
    return ranks_R
