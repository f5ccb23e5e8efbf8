"""Krum (Blanchard et al. 2017): the gradients that lie nearest to their neighbours, the rest left out."""

import torch
from torch import Tensor

from mtl.functional.gramian import precise


@precise
def krum(gramian: Tensor, outliers: int = 1, selected: int = 1) -> Tensor:
    """1/m for the m tasks whose distances to their K - f - 2 nearest neighbours are the least, 0 for the rest.

    Squared distances, as the paper scores them (TorchJD takes plain ones).
    """
    squares = gramian.diagonal()
    distances = (squares[:, None] + squares - 2 * gramian).clamp(min=0).fill_diagonal_(torch.inf)
    scores = distances.sort(1).values[:, : len(gramian) - outliers - 2].sum(1)
    chosen = scores.argsort(stable=True)[:selected]
    return torch.zeros_like(squares).index_fill(0, chosen, 1 / selected)
