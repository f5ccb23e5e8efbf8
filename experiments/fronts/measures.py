"""How near a set of ends comes to a front, how much of it they cover, and the hypervolume they dominate."""

import torch
from torch import Tensor


def distances(values: Tensor, front: Tensor) -> Tensor:
    """R distances from R x 2 values to the front, taken as the chain of segments between its points (P x 2)."""
    start, along = front[:-1], front[1:] - front[:-1]
    square = (along * along).sum(-1).clamp(min=1e-300)
    offset = values[:, None] - start
    share = ((offset * along).sum(-1) / square).clamp(0, 1)
    return (offset - share[..., None] * along).norm(dim=-1).amin(-1)


def hypervolume(values: Tensor, reference: tuple[float, float]) -> float:
    """Area between R x 2 values to be minimised and a reference point, by a sweep in the order of the first."""
    total, lowest = 0.0, reference[1]
    for first, second in sorted(values.tolist()):
        if first < reference[0] and second < lowest:
            total += (reference[0] - first) * (lowest - second)
            lowest = second
    return total


def covered(values: Tensor, front: Tensor, parts: int = 10, near: float = 0.02) -> int:
    """Of ten parts of the front of equal length, how many have an end nearer than `near` to a point of theirs."""
    lengths = (front[1:] - front[:-1]).norm(dim=-1).cumsum(0)
    part = torch.cat((lengths.new_zeros(1), lengths / lengths[-1] * parts)).long().clamp(max=parts - 1)
    nearest = (values[:, None] - front).norm(dim=-1).min(-1)
    return len(set(part[nearest.indices[nearest.values < near]].tolist()))


def on_ray(front: Tensor, preferences: Tensor) -> Tensor:
    """R x 2 points of the front (P x 2) where p_1 f_1 = p_2 f_2, the nearest known one, for R x 2 preferences."""
    terms = preferences[:, None] * front
    gaps = (terms[..., 0] - terms[..., 1]).abs() / terms.sum(-1)
    return front[gaps.argmin(-1)]
