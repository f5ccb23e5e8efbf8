"""Small trunks, and a table made on the four tasks of one corpus."""

import numpy as np
import pytest
import torch

from mtl.data.batch import collate
from mtl.model.lstm import LSTM
from mtl.model.multitask import MultiTaskModel
from mtl.model.transformer import Transformer

TRUNKS = {
    "transformer": lambda size: Transformer(size, True, max_length=64, width=8, attention_heads=2, feedforward=16),
    "lstm": lambda size: LSTM(size, True, units=8, embedding=6),
}


@pytest.fixture
def made(four_kinds, announced):
    """A prompt -> model, tasks as a run makes them, with everything of the prompt trained a little."""

    def make(prompt, trunk="transformer", names=None, seed=0, moved=True):
        specs = [spec for spec in four_kinds() if names is None or spec.name in names]
        tasks, vocabulary = announced(specs, prompt)
        torch.manual_seed(0)
        trunk = TRUNKS[trunk](len(vocabulary)) if isinstance(trunk, str) else trunk(len(vocabulary))
        prompt.make(trunk, {name: task.labelled.task for name, task in tasks.items()}, vocabulary, seed)
        kinds = {name: task.labelled.task.kind for name, task in tasks.items()}
        if moved:  # away from a start at which parts of the prompt say nothing
            with torch.no_grad():
                for parameter in prompt.parameters():
                    parameter += 0.5 * torch.randn(parameter.shape)
        return MultiTaskModel(trunk, kinds, prompt=prompt).eval(), tasks

    return make


@pytest.fixture
def rows():
    """How many rows of each task -> a batch of them."""

    def draw(tasks, sizes, seed=0):
        generator = np.random.default_rng(seed)
        chosen = {}
        for name, size in sizes.items():
            labelled = tasks[name].labelled
            chosen[name] = np.sort(generator.choice(labelled.rows["train"], size, replace=False))
        return chosen, collate(chosen, tasks)

    return draw
