"""Gradients of several tasks side by side: their inner products, one matrix of them, and what it is made of."""

from collections.abc import Sequence

import torch
from torch import Tensor

CHUNK = 1 << 16
"""Numbers of each gradient that are copied side by side at a time: few enough to stay in a processor's cache."""


def gramian(gradients: Sequence[Sequence[Tensor]]) -> Tensor:
    """K x K inner products of K gradients, each a tuple of tensors; added up chunk by chunk."""
    total = torch.zeros(len(gradients), len(gradients), device=gradients[0][0].device)
    for parts in zip(*gradients, strict=True):
        flat = [part.flatten() for part in parts]
        for begin in range(0, len(flat[0]), CHUNK):
            chunk = torch.stack([part[begin : begin + CHUNK] for part in flat]).float()
            total.addmm_(chunk, chunk.T)
    return total


def jacobian(gradients: Sequence[Sequence[Tensor]], slopes: Tensor | None) -> Tensor:
    """K x N: the gradients, each a tuple of tensors, as rows; times their slopes."""
    first = gradients[0]
    size = len(gradients), sum(part.numel() for part in first)
    rows = torch.empty(size, dtype=torch.float32, device=first[0].device)
    for row, parts in zip(rows, gradients, strict=True):
        torch.cat([part.flatten() for part in parts], out=row)
    return rows if slopes is None else rows.mul_(slopes[:, None])


def parts_of(direction: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """N coordinates as tensors of these shapes."""
    pieces = direction.split([shape.numel() for shape in shapes])
    return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def scaled(gramian: Tensor, slopes: Tensor | None) -> Tensor:
    """D G D for the slopes D."""
    return gramian if slopes is None else gramian * torch.outer(slopes, slopes).to(gramian)
