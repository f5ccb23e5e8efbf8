"""What a Gramian says about a step beside its norms and cosines."""

import torch
from torch import Tensor


def conflicting_pairs(gramian: Tensor) -> float:
    """Share of the K (K - 1) / 2 pairs of gradients with a product below zero; nan for one task."""
    first, second = torch.triu_indices(len(gramian), len(gramian), 1)
    return float((gramian[first, second] < 0).double().mean())


def effective_rank(gramian: Tensor) -> float:
    """Exp of the entropy of the eigenvalues, as parts of their sum (Roy and Vetterli 2007, of the Gramian).

    From 1 (all gradients in a line, or one far longer than the rest) to K (at right angles and of one length); nan
    where all are zero.
    """
    values = torch.linalg.eigvalsh(gramian.double()).clamp(min=0)
    parts = values / values.sum()
    return float(torch.special.entr(parts).sum().exp())
