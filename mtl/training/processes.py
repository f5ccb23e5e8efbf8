"""What several processes agree on, each with its own share of a step's rows."""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed


def num_processes() -> int:
    """1, unless torch's process group runs."""
    running = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if running else 1


def mean_over_processes(tensor: Tensor) -> Tensor:
    """The mean of every process's tensor, alike on all; the tensor itself where there is one process."""
    if num_processes() == 1:
        return tensor
    shared = tensor.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(shared)
    return shared / num_processes()


def on_all(flags: Sequence[bool], device: torch.device) -> list[bool]:
    """Which of the flags hold on every process."""
    if num_processes() == 1:
        return list(flags)
    return (mean_over_processes(torch.tensor(flags, dtype=torch.float32, device=device)) == 1).tolist()


def of_the_first(tensor: Tensor) -> Tensor:
    """The first process's tensor, on all: what is drawn at random is drawn once."""
    if num_processes() == 1:
        return tensor
    shared = tensor.detach().clone(memory_format=torch.contiguous_format)
    distributed.broadcast(shared, 0)
    return shared


def of_each(tensor: Tensor) -> list[Tensor]:
    """Every process's tensor of this shape, on all, in order of rank."""
    if num_processes() == 1:
        return [tensor]
    found = [torch.empty_like(tensor) for _ in range(num_processes())]
    distributed.all_gather(found, tensor)
    return found
