"""Rows written out in a test, as the sources give them."""

from dataclasses import dataclass
from itertools import count

import numpy as np
import pytest
import torch
from hypothesis import settings

from mtl.cli.build import announce, training_texts
from mtl.data.corpus import Row
from mtl.data.task import TaskSpec
from mtl.data.vocabulary import Vocabulary
from mtl.prompts.none import NoPrompt

torch.set_num_threads(1)
settings.register_profile("mtl", deadline=None, max_examples=40)
settings.load_profile("mtl")
numbers = count()


@dataclass
class Literal:
    """A source whose rows are at hand."""

    found: list[Row]
    key: str
    text: str = "text"

    def rows(self):
        return iter(self.found)


@pytest.fixture(scope="session")
def literal():
    """Texts (or lists of tokens), columns and splits -> a source; by default the last rows are val and test."""

    def make(texts, splits=None, **columns):
        splits = splits or ["train"] * (len(texts) - 2) + ["val", "test"]
        rows = [
            Row({"text": text, **{name: column[i] for name, column in columns.items()}}, "a.csv", i + 2, splits[i])
            for i, text in enumerate(texts)
        ]
        return Literal(rows, f"literal {next(numbers)}")

    return make


@pytest.fixture(scope="session")
def four_kinds(literal):
    """One corpus of n random rows of 1 to 12 characters and a task of each kind on it."""

    def make(n=60, seed=0):
        generator = np.random.default_rng(seed)
        tokens = [list(generator.choice(list("甲乙丙丁戊"), generator.integers(1, 13))) for _ in range(n)]
        tokens = [[str(token) for token in row] for row in tokens]
        splits = ["train", "train", "train", "val", "test"] * (n // 5 + 1)
        source = literal(
            tokens,
            splits,
            mood=["good" if "甲" in row else "bad" for row in tokens],
            stars=[2.5 * len(row) + 10 for row in tokens],
            topics=["|".join(topic for topic in "乙丙" if topic in row) for row in tokens],
            tags=[["B-X" if token == "丁" else "O" for token in row] for row in tokens],
        )
        return [
            TaskSpec("mood", "classification", source, "mood", keywords=["情"], phrase="情{text}？"),
            TaskSpec("stars", "regression", source, "stars", keywords=["星", "数"], phrase="{text}几星"),
            TaskSpec("topics", "multilabel", source, "topics", keywords=["题"], phrase="{text}几题"),
            TaskSpec("tags", "tagging", source, "tags", keywords=["标", "签"], phrase="标签{text}"),
        ]

    return make


@pytest.fixture(scope="session")
def announced():
    """Specs and a prompt -> their rows with inputs, and the vocabulary, as a run makes them."""

    def make(specs, prompt=None, max_length=64):
        prompt = prompt or NoPrompt()
        loaded = {spec.name: spec.load() for spec in specs}
        for rows in loaded.values():
            prompt.fit(rows.task, [rows.corpus.texts[row] for row in rows.rows["train"]])
        wording = [prompt.wording(rows.task) for rows in loaded.values()]
        vocabulary = Vocabulary.fit(training_texts(loaded), "characters", min_count=1, extra=wording)
        return announce(loaded, prompt, vocabulary, max_length), vocabulary

    return make
