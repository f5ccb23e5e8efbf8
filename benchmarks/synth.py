"""Workload `synth`: random tokens, T classifications, a trunk; what the benchmarks of a step have in common."""

import os
import platform
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor, nn

from mtl.data.batch import Announced
from mtl.data.corpus import Corpus
from mtl.data.inputs import Inputs
from mtl.data.kinds import Classification
from mtl.data.task import LabelledRows, Task
from mtl.model.base import Trunk
from mtl.model.lstm import LSTM
from mtl.model.transformer import Transformer
from mtl.strategies.switching.composition.stratified import Stratified
from mtl.strategies.switching.order.joint import Joint
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.rate.uniform import Uniform
from mtl.training.loaders import StepLoader

VOCABULARY, ROWS, LENGTH, BATCHES, C = 5000, 32, 64, 16, 5
make_optimizer = partial(torch.optim.Adam, lr=1e-4, fused=True)


class Tiny(Trunk):
    """Next to nothing to compute: what a step costs besides is all there is to see."""

    width = 128

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.linear = nn.Embedding(VOCABULARY, 8), nn.Linear(8, self.width)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """U x L ids to U x L x 8."""
        return self.embedding(ids)

    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Every row is of full length."""
        return torch.tanh(self.linear(features.mean(1)))


TRUNKS: dict[str, Callable[[], Trunk]] = {
    "lstm": lambda: LSTM(VOCABULARY, per_token=False, pooling="mean"),
    "transformer": lambda: Transformer(VOCABULARY, per_token=False, layers=4, dropout=0.0),
    "tiny": Tiny,
}


def make_tasks(tasks: int = 4, own_rows: bool = False) -> dict[str, Announced]:
    """T classifications of the same random rows, or of as many rows of its own each."""
    generator = np.random.default_rng(0)
    count = ROWS * BATCHES
    kind = Classification(tuple("abcde"[:C]))
    found: dict[str, Announced] = {}
    inputs = None
    for number in range(tasks):
        if inputs is None or own_rows:
            ids = generator.integers(2, VOCABULARY, count * LENGTH).astype(np.int32)
            inputs = Inputs(ids, np.arange(count + 1) * LENGTH, np.zeros(count, int), None, 0)
            corpus = Corpus(f"random{number}", [], None, {}, np.zeros(count, np.int8), [], [])
        task, targets = Task(f"task{number}", kind), list(generator.integers(0, C, count))
        found[task.name] = Announced(LabelledRows(task, corpus, {"train": np.arange(count)}, targets), inputs)
    return found


def make_loader(tasks: Mapping[str, Announced], steps: int) -> StepLoader:
    """Batches of 32 rows a task."""
    plan = Plan(dict.fromkeys(tasks, ROWS * BATCHES), ROWS, steps, 0, Stratified, Joint, Uniform)
    return StepLoader(tasks, plan, seed=0)


def machine(threads: int, *packages: str) -> list[str]:
    """What the figures depend on."""
    cores = f"{os.cpu_count()} cores ({platform.machine()}), torch threads: {threads}"
    names = ("torch", *packages)
    return [cores, f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)]
