"""EPO search (Mahapatra and Rajan 2020): towards the ray where all r_i L_i are equal, then down along it.

A step first balances, even where a loss must rise for it ("controlled ascent"), and descends in all losses once it is
balanced. Both are linear programs over convex combinations of the gradients, in the Gramian alone.
"""

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from mtl.functional.gramian import exact, precise

LEAST = 1e-12
"""Stands for a share of zero, whose logarithm would be infinite."""
SLACK = 1e-9
"""By which a demand may be missed."""


def imbalance(losses: Tensor, preference: Tensor) -> tuple[Tensor, Tensor]:
    """How far r_i L_i are from equal, mu = sum_i s_i ln(K s_i) >= 0 with shares s_i ~ r_i L_i, and the direction of
    its slope in the losses, a_i = r_i (ln(K s_i) - mu): a scalar and K numbers. Losses that are all zero are balanced.
    """
    terms = exact(preference) * exact(losses)
    total = terms.sum()
    shares = terms / total if total > 0 else torch.full_like(terms, 1 / len(terms))
    logs = (len(terms) * shares.clamp(min=LEAST)).log()
    mu = (shares * logs).sum()
    return mu, exact(preference) * (logs - mu)


@precise
def epo(gramian: Tensor, losses: Tensor, preference: Tensor, tolerance: float = 1e-4) -> Tensor:
    """K weights w of the simplex; nan where the solver fails.

    Out of balance (mu > tolerance), with c = G a: the w of the largest w'c, so that mu falls fastest, for which no task
    with c_i <= 0 rises faster than along a itself, and those with the largest r_i L_i do not rise; where all c_i <= 0
    none rises. In balance: the w of the largest sum of G w for which no loss rises, and mu no faster than it must;
    that last demand is left out where nothing meets it (the official code gives up there and takes the preference).

    Args:
        gramian: K x K.
        losses: K, not negative.
        preference: r, K numbers above zero.
        tolerance: of mu.

    """
    mu, adjustments = imbalance(losses, preference)
    size = gramian.diagonal().max()
    matrix = gramian / size if size > 0 else gramian
    pulls = matrix @ adjustments
    floor = torch.zeros_like(pulls)
    if mu <= tolerance:
        kept = (pulls, pulls.max().clamp(max=0))
        weights = largest(matrix.sum(0), matrix, floor, kept)
        return largest(matrix.sum(0), matrix, floor) if weights.isnan().any() else weights
    if (pulls > 0).any():
        terms = exact(preference) * exact(losses)
        floor = torch.where(pulls > 0, -torch.inf, pulls)
        floor[terms == terms.max()] = 0.0
    return largest(pulls, matrix, floor)


def largest(goal: Tensor, matrix: Tensor, floor: Tensor, also: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Weights w of the simplex with the largest goal'w for which matrix w >= floor and, for (v, b) in `also`, v'w >= b.

    Each row of the matrix is brought to size 1, since the solver's tolerance is absolute. nan where there is none.
    """
    sizes = matrix.abs().amax(1)
    wanted = (sizes > 0) & floor.isfinite()
    rows, least = matrix[wanted] / sizes[wanted, None], floor[wanted] / sizes[wanted]
    if also is not None:
        rows, least = torch.cat((rows, also[0][None])), torch.cat((least, also[1][None]))
    if len(goal) == 2:
        return of_two(goal, rows, least)
    found = linprog(
        -(goal / (goal.abs().max() or 1.0)).numpy(),
        A_ub=-rows.numpy(),
        b_ub=-least.numpy(),
        A_eq=np.ones((1, len(goal))),
        b_eq=[1.0],
    )
    if found.x is None or found.status != 0:
        return torch.full_like(goal, torch.nan)
    weights = torch.from_numpy(np.asarray(found.x)).clamp(min=0)
    return weights / weights.sum()


def of_two(goal: Tensor, rows: Tensor, least: Tensor) -> Tensor:
    """The same for two weights (t, 1 - t), where each row leaves an interval: 9 times as fast; in a tie its middle."""
    low, high = 0.0, 1.0
    for (first, second), bound in zip(rows.tolist(), least.tolist(), strict=True):
        slope, need = first - second, bound - second
        if slope > 0:
            low = max(low, need / slope)
        elif slope < 0:
            high = min(high, need / slope)
        elif need > SLACK:
            return torch.full_like(goal, torch.nan)
    if low > high + SLACK:
        return torch.full_like(goal, torch.nan)
    better = float(goal[0] - goal[1])
    share = min(1.0, high if better > 0 else low if better < 0 else (low + high) / 2)
    return torch.tensor([share, 1 - share], dtype=goal.dtype)
