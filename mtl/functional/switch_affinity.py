"""How tasks pull on each other, from gradients and lookaheads: affinity, conflict, dominance, the stale momentum."""

import torch
from torch import Tensor

from mtl.functional.gramian import unit


def lookahead_affinity(before: Tensor, after: Tensor) -> Tensor:
    """Z_ij = 1 - L_j(theta - eta g_i) / L_j(theta): inter-task affinity of TAG (Fifty et al. 2021, equation 1).

    Only shared parameters move. Positive: a step of i helps j. nan where L_j is 0. TAG reads both losses on the
    training batch, the probe on rows of its own. Under Adam the probe takes `fresh_adam` for eta g_i (ours): a plain
    step of Adam's learning rate is too short to measure.

    Args:
        before: T losses.
        after: T x T, the losses of all tasks (columns) after a step of each (rows).
    """
    return 1 - after / torch.where(before == 0, torch.nan, before)


def first_order_affinity(gramian: Tensor, losses: Tensor, rate: float) -> Tensor:
    """Eta g_i . g_j / L_j, the first-order part of `lookahead_affinity` for plain gradient descent (ours as a measure).

    L_j(theta - eta g_i) = L_j - eta g_i . g_j + O(eta^2): free of extra forwards where a Gramian is at hand.

    Args:
        gramian: T x T inner products of steps (rows) and gradients (columns), in plain descent both g.
        losses: T.
        rate: eta, the learning rate.
    """
    return rate * gramian / torch.where(losses == 0, torch.nan, losses)


def conflict(gramian: Tensor) -> tuple[Tensor, Tensor]:
    """T x T cosines of the gradients and their magnitude similarity (PCGrad, Yu et al. 2020, definitions 1 and 2).

    cos_ij = g_i . g_j / (|g_i| |g_j|), a conflict where it is negative; 2 |g_i| |g_j| / (|g_i|^2 + |g_j|^2). nan where
    a gradient is zero.
    """
    gramian = gramian.double()
    cosines, norms = unit(gramian)
    there = torch.outer(norms > 0, norms > 0)
    squares = norms**2
    similar = 2 * torch.outer(norms, norms) / (squares[:, None] + squares)
    return torch.where(there, cosines, torch.nan), torch.where(there, similar, torch.nan)


def dominance(squares: Tensor) -> Tensor:
    """share_i = AU_i / sum_k AU_k (AdaTask, Yang et al. 2023): whose updates the shared parameters get.

    Args:
        squares: T running means AU_i of the squared norm of the update that task i alone would make.
    """
    total = squares.sum()
    return squares / torch.where(total == 0, torch.nan, total)


def fresh_adam(
    gradient: Tensor, second: Tensor, count: float, rate: float, betas: tuple[float, float], eps: float
) -> Tensor:
    """The part of Adam's next step that its gradient g brings, as something to subtract (ours).

        u = rate * (1 - beta1) g / (1 - beta1^(t+1)) / (sqrt(v_{t+1} / (1 - beta2^(t+1))) + eps)

    Kingma and Ba 2015, algorithm 1: the step is u and the part of the first moment, v_{t+1} holds g^2; no weight decay.

    Args:
        gradient: g.
        second: v_t.
        count: t, steps taken.
        rate: learning rate.
        betas: of the moments.
        eps: of Adam.
    """
    moment = betas[1] * second + (1 - betas[1]) * gradient**2
    scale = (moment / (1 - betas[1] ** (count + 1))).sqrt_().add_(eps)
    return gradient.div(scale).mul_(rate * (1 - betas[0]) / (1 - betas[0] ** (count + 1)))


def stale_adam(
    first: Tensor, second: Tensor, count: float, rate: float, betas: tuple[float, float], eps: float
) -> Tensor:
    """The part of Adam's next step that its first moment brings along (ours): what theta would do without a gradient.

        s = -rate * beta1 m_t / (1 - beta1^(t+1)) / (sqrt(v_t / (1 - beta2^t)) + eps)

    Kingma and Ba 2015, algorithm 1, with g = 0 in m_{t+1} and the second moment as it was; no weight decay.

    Args:
        first: m_t.
        second: v_t.
        count: t, steps taken.
        rate: learning rate.
        betas: of the moments.
        eps: of Adam.
    """
    scale = (second / (1 - betas[1] ** count)).sqrt_().add_(eps)
    return first.div(scale).mul_(-rate * betas[0] / (1 - betas[0] ** (count + 1)))
