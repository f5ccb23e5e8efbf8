"""A source of random numbers that a checkpoint holds, so that a resumed run draws what it would have drawn."""

import torch
from torch import Generator, Tensor, nn


class Chance(nn.Module):
    """A generator on the CPU, seeded from torch's own: `seed_everything` rules it, later draws elsewhere don't."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = Generator().manual_seed(int(torch.randint(2**62, ())))

    def get_extra_state(self) -> Tensor:
        """For `state_dict`."""
        return self.generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """From `load_state_dict`."""
        self.generator.set_state(state.cpu())
