"""The nearest direction that no gradient objects to: projections onto the dual cone of the gradients."""

import torch
from torch import Tensor

from mtl.functional.gramian import precise, regular, unit
from mtl.functional.quadratic import nonnegative


def project(gramian: Tensor, rows: Tensor) -> Tensor:
    """R x K weights w >= u with the smallest w'Gw, for R x K rows u >= 0: then G w >= 0 and |J'w - J'u| is least."""
    cosines, norms = unit(gramian)
    lengths = torch.where(norms > 0, norms, 1.0)
    scaled = rows * lengths
    sizes = scaled.amax(1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)
    hessian = regular(cosines)
    return (scaled + sizes * nonnegative(hessian, (scaled / sizes) @ hessian)) / lengths


@precise
def dual_projection(gramian: Tensor) -> Tensor:
    """The mean gradient, projected."""
    return project(gramian, torch.full_like(gramian[:1], 1 / len(gramian)))[0]


@precise
def upgrad(gramian: Tensor) -> Tensor:
    """Each gradient projected, then their mean."""
    return project(gramian, torch.eye(len(gramian), dtype=gramian.dtype)).mean(0)
