"""LeNet (LeCun et al. 1998), for small images, as Sener and Koltun 2018 share it between the digits of MultiMNIST."""

import torch
from torch import Tensor, nn

from mtl.model.base import Prefix, Trunk

MEAN, DEVIATION = 0.1307, 0.3081
"""Of MNIST's pixels from 0 to 1; the published codes standardise by them."""


class LeNet(Trunk):
    """Two convolutions of 5 x 5 to 10 and 20 channels, each with max pooling and ReLU, then a linear layer with ReLU.

    The places that it reads are the pixels of an image, in rows; what comes out is one place. The heads of the
    published model have a hidden layer of 50 units each; here a head is linear.

    Args:
        vocabulary_size: unused: there are 256 grey values.
        per_token: whether a task of the run tags tokens, which an image doesn't have.
        height: of the images, in pixels.
        width: of the images; at least 16, as the height.
        units: D.
        dropout: of whole channels of the second convolution (the published model has 0.5).
        frozen: train nothing of the trunk, as it was made from the seed.
    """

    def __init__(
        self,
        vocabulary_size: int,
        per_token: bool,
        height: int = 28,
        width: int = 28,
        units: int = 50,
        dropout: float = 0.0,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        if per_token:
            raise ValueError("lenet reads whole images: a task of the run tags tokens, which they don't have")
        if min(height, width) < 16:
            raise ValueError(f"`height` and `width` should be at least 16. Found {height} and {width}")
        self.size, self.width = (height, width), units
        self.after = tuple((side - 4) // 2 for side in self.size), tuple(((s - 4) // 2 - 4) // 2 for s in self.size)
        self.first = nn.Conv2d(1, 10, 5)
        self.second = nn.Conv2d(10, 20, 5)
        self.dropout = nn.Dropout2d(dropout)
        self.linear = nn.Linear(20 * self.after[1][0] * self.after[1][1], units)
        if frozen:
            self.freeze()

    def embed(self, ids: Tensor) -> Tensor:
        """Grey values (U x L) to U x L x 1 standardised ones."""
        return ((ids.float() / 255 - MEAN) / DEVIATION)[..., None]

    def encode(self, embedded: Tensor, inside: Tensor, positions: Tensor, prefix: Prefix | None = None) -> Tensor:
        """U x L x 1 pixels to U x 1 x D."""
        images = embedded.view(-1, 1, *self.size)
        images = torch.relu(nn.functional.max_pool2d(self.first(images), 2))
        images = torch.relu(nn.functional.max_pool2d(self.dropout(self.second(images)), 2))
        return torch.relu(self.linear(images.flatten(1)))[:, None]

    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The one place."""
        return features[:, 0]

    def uses(self, module: nn.Module) -> float:
        """A filter is laid on every place of what it makes, the linear layer is used once an image."""
        places = self.size[0] * self.size[1]
        if module is self.first:
            return (self.size[0] - 4) * (self.size[1] - 4) / places
        if module is self.second:
            return (self.after[0][0] - 4) * (self.after[0][1] - 4) / places
        return 1 / places
