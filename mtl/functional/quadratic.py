"""Small convex quadratic programs, min v'Hv/2 + q'v over v >= 0, many q at once."""

import torch
from torch import Tensor

TOLERANCE = 1e-10
AT_ONCE = 8
"""Rounds in which every wrong sign is exchanged; then only the last of a row, which cannot go round in circles."""


def nonnegative(hessian: Tensor, linear: Tensor, rounds: int = 200) -> Tensor:
    """R x K minimisers for R x K rows q and one positive definite K x K matrix, of order 1; nan where not found.

    Block principal pivoting (Kostreva 1978; Judice and Pires 1994): guess which entries are free, solve for those,
    exchange the entries with a wrong sign. Murty's rule (1974) takes over where that does not settle.
    """
    identity = torch.eye(len(hessian), dtype=hessian.dtype)
    free = linear < 0
    for turn in range(rounds):
        matrices = torch.where(free[:, :, None] & free[:, None, :], hessian, identity)
        values = torch.linalg.solve_ex(matrices, torch.where(free, -linear, 0.0)[..., None])[0][..., 0]
        wrong = torch.where(free, values, values @ hessian + linear) < -TOLERANCE
        if not wrong.any():
            return values.clamp(min=0)
        if turn >= AT_ONCE:
            wrong &= wrong.flip(1).cumsum(1).flip(1) == 1
        free ^= wrong
    return torch.full_like(linear, torch.nan)
