"""The Nemenyi test after Friedman's: how far apart two mean ranks must be (Demsar 2006, section 3.2.2)."""

import math
from collections.abc import Sequence


def critical_difference(methods: int, blocks: int, alpha: float = 0.05) -> float:
    """CD = q_alpha sqrt(k (k + 1) / (6 N)) for k methods ranked in N blocks.

    q_alpha is the studentised range at infinite degrees of freedom, divided by sqrt 2 (2.728 for k = 5, alpha = 0.05).
    """
    from scipy.stats import studentized_range

    if methods < 2 or blocks < 1 or not 0 < alpha < 1:
        raise ValueError(
            "`methods` should be at least 2, `blocks` at least 1 and `alpha` between 0 and 1. "
            f"Found {methods}, {blocks} and {alpha}"
        )
    q = float(studentized_range.ppf(1 - alpha, methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * blocks))


def cliques(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """The largest groups of sorted mean ranks that span less than the difference, as (first, last) positions."""
    found: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = max(place for place in range(len(ranks)) if ranks[place] - ranks[first] < difference)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found
