"""Two-objective problems whose Pareto sets are known: VLMOP2, and TorchJD's three quadratics."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Problem(Protocol):
    """Values and slopes at R points, the Pareto set as a curve, and the corner that hypervolume is measured from."""

    reference: tuple[float, float]

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values (R x 2) and slopes (R x 2 x D) at R x D points."""
        ...

    def pareto_set(self, points: int) -> Tensor:
        """Points x D along the set, from the best for task 1 to the best for task 2."""
        ...


class VLMOP2(NamedTuple):
    """f = 1 - exp(-|x - u|^2) with u = 1/sqrt(d) for task 1 and -1/sqrt(d) for task 2; the front is concave.

    Van Veldhuizen and Lamont 1999; d = 20 in Pareto-MTL (Lin et al. 2019). The Pareto set is the straight line between
    the two u, the points t/sqrt(d) with t from 1 to -1.
    """

    dimensions: int = 20
    reference: tuple[float, float] = (1.0, 1.0)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values (R x 2) and slopes (R x 2 x D)."""
        offsets = torch.stack((x - self.dimensions**-0.5, x + self.dimensions**-0.5), 1)
        hills = (-(offsets * offsets).sum(-1)).exp()
        return 1 - hills, 2 * hills[..., None] * offsets

    def pareto_set(self, points: int) -> Tensor:
        """Points x D."""
        line = torch.linspace(1, -1, points, dtype=torch.float64)[:, None] * self.dimensions**-0.5
        return line.expand(points, self.dimensions)


class Quadratic(NamedTuple):
    """f_i = (x - u_i)' A_i (x - u_i), whose Pareto set is (w A_1 + (1 - w) A_2)^-1 (w A_1 u_1 + (1 - w) A_2 u_2)."""

    forms: Tensor
    centres: Tensor
    starts: Tensor
    rate: float
    steps: int
    reference: tuple[float, float]

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values (R x 2) and slopes (R x 2 x 2)."""
        offsets = x[:, None] - self.centres
        pulls = torch.einsum("rti,tij->rtj", offsets, self.forms)
        return (pulls * offsets).sum(-1), 2 * pulls

    def pareto_set(self, points: int) -> Tensor:
        """Points x 2; the pseudo-inverse serves the ends of the singular EWQ."""
        share = torch.linspace(1, 0, points, dtype=torch.float64)[1:-1]
        weights = torch.stack((share, 1 - share), -1)
        matrix = torch.einsum("pt,tij->pij", weights, self.forms)
        right = torch.einsum("pt,tij,tj->pi", weights, self.forms, self.centres)
        inside = torch.linalg.solve(matrix, right[..., None])[..., 0]
        return torch.cat((self.centres[:1], inside, self.centres[1:]))


def preferences(runs: int) -> Tensor:
    """Runs x 2, evenly on the simplex, without its corners."""
    first = (torch.arange(runs, dtype=torch.float64) + 0.5) / runs
    return torch.stack((first, 1 - first), -1)


def double(values: object) -> Tensor:
    """As float64."""
    return torch.tensor(values, dtype=torch.float64)


FORM = ((2.0, -1.0), (-1.0, 2.0))
QUADRATICS = {
    "ewq": Quadratic(
        double((((1, 0), (0, 0)), ((0, 0), (0, 1)))),
        double(((0, 0), (0, 0))),
        double(((3, -2), (0, -3), (-4, 4), (-3, 4), (-3.5, -0.75))),
        0.075,
        50,
        (16.0, 16.0),
    ),
    "cqf": Quadratic(
        double((((1, 0.2), (0.2, 0.05)), ((3, -0.6), (-0.6, 0.2)))),
        double(((1, 0), (-1, 0))),
        double(((0.5, 0.5), (-0.3, 7), (0, 0))),
        0.125,
        200,
        (4.0, 12.0),
    ),
    "hqf": Quadratic(
        double((FORM, FORM)) * double((1, 10))[:, None, None],
        double(((1, 0), (-10, 0))),
        double(((-6, 4), (-3, -1.5), (1.5, 2), (2.5, 5.5))),
        0.005,
        100,
        (242.0, 2420.0),
    ),
}
"""TorchJD's `tests/trajectories` (MIT): forms, centres, starts, learning rates and steps are theirs."""
