"""Rows of like length: a block of them is mostly padding where one is much longer than the others."""

import torch
from torch import Tensor

LEAST = 8
"""Rows of a part: fewer leave a processor's matrix products too small."""
GAIN = 0.1
"""Share of a block's places that parts have to save, or else it stays whole."""


def alike(lengths: Tensor) -> list[Tensor]:
    """U lengths to the positions (long) of the rows of each part: by length, in parts of 8 rows or a few more; or all
    of them, in their order, where that saves less than a tenth of the places.
    """
    order = lengths.argsort(stable=True)
    parts = list(order.tensor_split(max(1, len(order) // LEAST)))
    places = sum(len(part) * int(lengths[part[-1]]) for part in parts if len(part))
    if places > (1 - GAIN) * len(lengths) * int(lengths.max()):
        return [torch.arange(len(lengths), device=lengths.device)]
    return parts
