"""Numbers as they were written: MLflow's SQL stores keep the largest double in the place of infinity."""

import math
import sys

LARGEST = sys.float_info.max
"""What MLflow's SQL stores write for infinity."""


def exact(value: float) -> float:
    """A metric's value as it was recorded: inf and -inf again for the largest double; nan and all others as they are.

    A reader of the `metrics` tables themselves takes nan for a row of `is_nan` first: its value is kept as 0.
    """
    return math.copysign(math.inf, value) if abs(value) == LARGEST else value
