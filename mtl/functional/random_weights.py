"""Random weights on the simplex (Lin et al. 2022)."""

from typing import Literal

import torch
from torch import Generator, Tensor

Distribution = Literal["normal", "uniform", "dirichlet", "bernoulli", "one_hot"]


def random_weights(tasks: int, distribution: Distribution, generator: Generator | None = None) -> Tensor:
    """K weights: softmax of normals or of uniforms, Dirichlet(1), some tasks drawn by coin, or one task.

    Where the coins leave no task, one is drawn.
    """
    if distribution == "normal":
        return torch.randn(tasks, generator=generator).softmax(0)
    uniform = torch.rand(tasks, generator=generator)
    if distribution == "uniform":
        return uniform.softmax(0)
    if distribution == "dirichlet":
        exponential = -torch.log1p(-uniform) + torch.finfo(uniform.dtype).tiny
        return exponential / exponential.sum()
    chosen = uniform < 0.5 if distribution == "bernoulli" else torch.zeros(tasks, dtype=torch.bool)
    if not chosen.any():
        chosen[torch.randint(tasks, (1,), generator=generator)] = True
    return chosen / chosen.sum()
