"""PCGrad (Yu et al. 2020, algorithm 1): each gradient loses its conflicting part with each other, in random order."""

import torch
from torch import Generator, Tensor

from mtl.functional.gramian import precise


def random_order(tasks: int, generator: Generator | None = None) -> Tensor:
    """K x (K - 1): in row i, the other tasks in random order; never i itself."""
    keys = torch.rand(tasks, tasks, generator=generator)
    return keys.fill_diagonal_(torch.inf).argsort(1)[:, :-1]


@precise
def pcgrad(gramian: Tensor, order: Tensor) -> Tensor:
    """1 - sum_i min(g_i . g_j, 0) / |g_j|^2, where g_i is what the surgery has left of it when j's turn comes.

    Row i of `products` holds the inner products of what is left of g_i; all rows have their turns at once.
    """
    squares = gramian.diagonal()
    relative = torch.where(squares > 0, gramian / squares, 0.0).T
    products = gramian.clone()
    conflicts = []
    for others, rows in zip(order.T[..., None], relative[order.T], strict=True):
        conflict = products.gather(1, others).clamp_(max=0)
        conflicts.append(conflict)
        products.addcmul_(conflict, rows, value=-1)
    if not conflicts:
        return torch.ones_like(squares)
    totals = torch.zeros_like(gramian).scatter_(1, order, torch.cat(conflicts, 1)).sum(0)
    return 1 - torch.where(squares > 0, totals / squares, 0.0)
