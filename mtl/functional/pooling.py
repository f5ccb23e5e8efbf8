"""Features of tokens (U x L x D) to features of texts (U x D), by the true lengths (U)."""

import torch
from torch import Tensor


def inside(features: Tensor, lengths: Tensor) -> Tensor:
    """U x L bools: the position lies within the row's length."""
    return torch.arange(features.shape[1], device=lengths.device) < lengths[:, None]


def mean(features: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the row's own tokens."""
    return mean_of(features, inside(features, lengths))


def mean_of(features: Tensor, kept: Tensor) -> Tensor:
    """Mean over the places that are kept (U x L bools), one at least in each row."""
    return (features * kept[..., None].to(features.dtype)).sum(1) / kept.sum(1, keepdim=True).to(features.dtype)


def maximum(features: Tensor, lengths: Tensor) -> Tensor:
    """Largest value over the row's own tokens, in each dimension."""
    return features.masked_fill(~inside(features, lengths)[..., None], -torch.inf).amax(1)


def last(features: Tensor, lengths: Tensor) -> Tensor:
    """The row's last token."""
    return features[torch.arange(len(features), device=features.device), lengths - 1]


def reverse(features: Tensor, lengths: Tensor) -> Tensor:
    """Each row turned around within its length; what lies behind stays where it is."""
    positions = torch.arange(features.shape[1], device=lengths.device).expand(len(features), -1)
    turned = torch.where(positions < lengths[:, None], lengths[:, None] - 1 - positions, positions)
    return features.gather(1, turned[..., None].expand_as(features))
