"""GradVac (Wang et al. 2021): gradients are turned until their cosine reaches a running target."""

import torch
from torch import Tensor

from mtl.functional.gramian import unit

LEAST_SINE = 1e-3
"""Of a target: one that is nearly 1 would ask for an infinite turn."""


def gradvac(gramian: Tensor, order: Tensor, targets: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """K weights and the K x K new targets; float64 on the CPU.

    What must be added of g_j (at length one) to x for their cosine to be phi is cot(phi) sqrt(|x|^2 - (x . g_j)^2) -
    x . g_j, which is above zero just where the cosine is below phi. As in PCGrad all rows have their turns at once.
    The targets move at every turn, not on conflict alone (as they did in LibMTL until February 2024). A zero gradient
    is neither turned nor turned to.

    Args:
        gramian: K x K inner products.
        order: K x (K - 1), in each row the other tasks as they come.
        targets: K x K cosines, a moving average.
        beta: weight of the new cosine in that average.

    """
    cosines, norms = unit(gramian)
    cotangents = torch.where(norms > 0, targets / (1 - targets**2).clamp(min=0).sqrt().clamp(min=LEAST_SINE), 0.0)
    products, square = cosines.clone(), cosines.diagonal()[:, None].clone()
    found, squares, shares = [], [], []
    turns = zip(order.T[..., None], cosines[order.T], cotangents.gather(1, order).T[..., None], strict=True)
    for others, rows, wanted in turns:
        product = products.gather(1, others)
        share = torch.addcmul(square, product, product, value=-1).clamp_(min=0).sqrt_()
        share.mul_(wanted).sub_(product).clamp_(min=0)
        for past, now in ((found, product), (squares, square), (shares, share)):
            past.append(now)
        square = torch.addcmul(square, share, share.add(product, alpha=2)).clamp_(min=0)
        products.addcmul_(share, rows)
    if not found:
        return torch.ones_like(norms), targets
    totals = torch.eye(len(gramian), dtype=gramian.dtype).scatter_(1, order, torch.cat(shares, 1))
    weights = torch.where(norms > 0, (norms @ totals) / norms, 1.0)
    seen = (torch.cat(found, 1) / torch.cat(squares, 1).sqrt().clamp(min=1e-30)).clamp(-1, 1)
    return weights, targets.scatter(1, order, (1 - beta) * targets.gather(1, order) + beta * seen)
