"""Delta_m: how much better the tasks of one run do than the same tasks trained alone, in percent."""

import math
from collections.abc import Sequence


def delta_m(values: Sequence[float], baselines: Sequence[float], higher_is_better: Sequence[bool]) -> float:
    """Mean over the entries of (M - B) / |B| x 100, the sign turned where lower is better: positive is an improvement.

    Source: Maninis et al. 2019 and Vandenhende et al. 2021, one entry a task. The tables of CAGrad, Nash-MTL,
    FAMO and FairGrad show the negative of this number (lower is better) over all the metrics of all the tasks;
    averaging inside each task first gives a third number, sometimes of the other sign.

    A nan anywhere gives nan. A baseline of zero has no relative difference and is a ValueError.
    """
    if not len(values) == len(baselines) == len(higher_is_better) > 0:
        found = f"{len(values)}, {len(baselines)} and {len(higher_is_better)}"
        raise ValueError(f"values, baselines and higher_is_better should have one length of at least 1. Found {found}.")
    if any(float(baseline) == 0 for baseline in baselines):
        raise ValueError(f"baselines should not be zero. Found {[float(baseline) for baseline in baselines]}.")
    gains = [
        (1 if higher else -1) * (float(value) - float(baseline)) / abs(float(baseline))
        for value, baseline, higher in zip(values, baselines, higher_is_better, strict=True)
    ]
    return 100 * math.fsum(gains) / len(gains)
