"""Adam (Kingma and Ba 2015, algorithm 1) as a function, for weightings whose inner optimiser lives in buffers."""

from typing import NamedTuple

from torch import Tensor


class Moments(NamedTuple):
    """Running means of the gradient and of its square, and the steps each entry has had."""

    first: Tensor
    second: Tensor
    count: Tensor


def adam(gradient: Tensor, moments: Moments, rate: float) -> tuple[Tensor, Moments]:
    """What to add to the parameter, and the new moments (beta 0.9 and 0.999)."""
    first = 0.9 * moments.first + 0.1 * gradient
    second = 0.999 * moments.second + 0.001 * gradient**2
    count = moments.count + 1
    step = -rate * (first / (1 - 0.9**count)) / ((second / (1 - 0.999**count)).sqrt() + 1e-8)
    return step, Moments(first, second, count)
