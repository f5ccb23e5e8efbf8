"""GradNorm's synthetic tasks (Chen et al. 2018, section 4) and a trunk with a head a task, for R runs at once."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Generator, Tensor

INPUTS, OUTPUTS, WIDTH, LAYERS = 250, 100, 100, 4


class Tasks(NamedTuple):
    """f_i(x) = sigma_i tanh((B + eps_i) x) of S seeds: `maps` is S x T x 100 x 250, `scales` T."""

    maps: Tensor
    scales: Tensor

    def draw(self, rows: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Inputs (S x rows x 250) uniform in [-1, 1], cut to length 1, and targets (S x rows x T x 100)."""
        x = torch.rand(len(self.maps), rows, INPUTS, generator=generator) * 2 - 1
        x /= x.norm(dim=-1, keepdim=True)
        targets = (x @ self.maps.flatten(1, 2).mT).tanh_().unflatten(-1, (len(self.scales), OUTPUTS))
        return x, targets * self.scales[:, None]


def make_tasks(seeds: int, scales: Tensor, *, variance: bool) -> Tasks:
    """B and eps_i of N(0, 10) and N(0, 3.5), where the second number is a standard deviation or a variance."""
    base, own = (math.sqrt(10.0), math.sqrt(3.5)) if variance else (10.0, 3.5)
    maps = []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        shared = base * torch.randn(OUTPUTS, INPUTS, generator=generator)
        maps.append(shared + own * torch.randn(len(scales), OUTPUTS, INPUTS, generator=generator))
    return Tasks(torch.stack(maps), scales)


@dataclass
class Networks:
    """R networks of 4 layers of 100 ReLU units (each R x (1 + inputs) x 100) and T affine heads, side by side."""

    trunk: list[Tensor]
    heads: Tensor

    @classmethod
    def make(cls, seeds: int, tasks: int, copies: int) -> "Networks":
        """Run r learns seed r % S, and starts as every run of it does."""
        widths = [INPUTS, *[WIDTH] * LAYERS]
        shapes = [((1 + below, above), below) for below, above in pairwise(widths)]
        shapes.append(((1 + WIDTH, tasks * OUTPUTS), WIDTH))
        drawn = []
        for seed in range(seeds):
            generator = torch.Generator().manual_seed(1000 + seed)
            # uniform within 1 / sqrt(fan in), biases too, as torch.nn.Linear
            drawn.append([(torch.rand(s, generator=generator) * 2 - 1) / math.sqrt(fan) for s, fan in shapes])
        *trunk, heads = [torch.stack(layer).repeat(copies, 1, 1) for layer in zip(*drawn, strict=True)]
        return cls([layer.requires_grad_() for layer in trunk], heads)

    def part(self, runs: slice) -> "Networks":
        """Those of some runs."""
        return Networks([layer[runs] for layer in self.trunk], self.heads[runs])

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of the last two layers, R x rows x 100 each, from inputs (R x rows x 250)."""
        below = x
        for layer in self.trunk:
            x, below = torch.baddbmm(layer[:, :1], x, layer[:, 1:]).relu(), x
        return x, below

    def errors(self, features: Tensor, targets: Tensor) -> Tensor:
        """Predictions minus targets, R x rows x T x 100."""
        return torch.baddbmm(self.heads[:, :1], features, self.heads[:, 1:]).view_as(targets) - targets


class Slopes(NamedTuple):
    """Of mean squared losses (R x T): at the features (R x T x rows x 100), of the heads, and |dL_i/dW| of layer 4."""

    losses: Tensor
    features: Tensor
    heads: Tensor
    norms: Tensor


@torch.no_grad()
def slopes(networks: Networks, features: Tensor, below: Tensor, targets: Tensor) -> Slopes:
    """By hand, since a task's own slope at the features serves its norm as well as the weighted whole."""
    errors = networks.errors(features, targets)
    losses = errors.square().mean((1, 3))
    errors *= 2 / (errors.shape[1] * OUTPUTS)
    ones = torch.ones_like(features[..., :1])
    heads = torch.cat((ones, features), -1).mT @ errors.flatten(2)
    task_heads = networks.heads[:, 1:].unflatten(-1, errors.shape[2:]).permute(0, 2, 3, 1)
    at_features = errors.transpose(1, 2) @ task_heads
    at_layer = below.mT @ (at_features * (features > 0)[:, None]).transpose(1, 2).flatten(2)
    return Slopes(losses, at_features, heads, at_layer.unflatten(-1, at_features.shape[1::2]).norm(dim=(1, 3)))
