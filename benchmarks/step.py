"""What a training step costs, as a ratio to a hand-written loop: Lightning, the record, the progress line."""

import argparse
import logging
import os
import random
import shlex
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
import torch.utils.deterministic
from pytorch_lightning.callbacks import Callback, RichProgressBar
from pytorch_lightning.loggers import Logger, MLFlowLogger
from rich.console import Console
from torch import Tensor, nn

from benchmarks.synth import BATCHES, LENGTH, ROWS, TRUNKS, C, machine, make_loader, make_optimizer, make_tasks
from mtl.data.batch import Batch
from mtl.model.base import Trunk
from mtl.model.multitask import MultiTaskModel
from mtl.strategies.weighting.fixed import Fixed
from mtl.tracking.callback import Record
from mtl.tracking.recorder import Recorder
from mtl.tracking.store import Store, open_store
from mtl.training.dynamics import Dynamics
from mtl.training.loaders import StepLoader
from mtl.training.module import MultiTaskModule
from mtl.training.progress import Progress

T = 4
WARM_UP = 5
"""Steps of each segment before the clock starts."""


class Again:
    """The same few batches over and over."""

    def __init__(self, batches: Sequence[Batch], steps: int) -> None:
        self.batches, self.steps = batches, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.steps):
            yield self.batches[step % len(self.batches)]


@dataclass
class Work:
    """The same model, batches and number of steps for every arm."""

    trunk: str
    steps: int
    draws: bool
    """Whether the batches are drawn and padded while the clock runs."""
    store: Store
    folder: Path

    def __post_init__(self) -> None:
        self.announced = make_tasks(T)
        self.tasks = {name: found.labelled.task for name, found in self.announced.items()}
        self.total = WARM_UP + self.steps
        self.batches = list(make_loader(self.announced, BATCHES))

    def loader(self) -> StepLoader | Again:
        """The batches of a segment."""
        return make_loader(self.announced, self.total) if self.draws else Again(self.batches, self.total)

    def make_trunk(self) -> Trunk:
        """The same weights each time."""
        torch.manual_seed(0)
        return TRUNKS[self.trunk]()

    def model(self) -> MultiTaskModel:
        """The model as a run has it."""
        return MultiTaskModel(self.make_trunk(), {name: task.kind for name, task in self.tasks.items()})


@dataclass(frozen=True)
class Cost:
    """Milliseconds a step, on the wall and of processor time in all threads; the last loss shows what was computed."""

    wall: float
    cpu: float
    loss: float


class Clock(Callback):
    """Runs from the end of the last warm-up step to the end of the last step; stands last among the callbacks.

    Processor time goes on until the recorder's thread has written all it was given, the wall clock does not.
    """

    def __init__(self, steps: int, recorder: Recorder | None = None) -> None:
        self.steps, self.recorder, self._done = steps, recorder, 0

    def tick(self, loss: Tensor) -> None:
        """One step more."""
        self._done += 1
        if self._done == WARM_UP:
            self._written()
            self._wall, self._cpu = time.perf_counter(), time.process_time()
        elif self._done == WARM_UP + self.steps:
            wall = time.perf_counter() - self._wall
            self._written()
            cpu = time.process_time() - self._cpu
            self.cost = Cost(1000 * wall / self.steps, 1000 * cpu / self.steps, float(loss.detach()))

    def _written(self) -> None:
        if self.recorder is not None:
            self.recorder.wait(60)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count."""
        self.tick(outputs["loss"])


def loop(work: Work) -> Cost:
    """What one would write by hand."""
    torch.use_deterministic_algorithms(False)
    trunk = work.make_trunk()
    heads = {name: nn.Linear(trunk.width, C) for name in work.tasks}
    parameters = [*trunk.parameters(), *(p for head in heads.values() for p in head.parameters())]
    optimizer = make_optimizer(parameters)
    clock = Clock(work.steps)
    for batch in work.loader():
        texts = trunk.pool(trunk(batch.ids, batch.lengths), batch.lengths)
        losses = [F.cross_entropy(heads[name](texts), rows.targets) for name, rows in batch.tasks.items()]
        optimizer.zero_grad()
        loss = torch.stack(losses).sum()
        loss.backward()
        optimizer.step()
        clock.tick(loss)
    return clock.cost


def trainer_of(
    steps: int,
    folder: Path,
    callbacks: Sequence[Callback],
    logger: Logger | bool = False,
    deterministic: bool = False,
) -> pl.Trainer:
    """As `mtl train` makes it, but for what is kept and shown."""
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps,
        max_epochs=1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=str(folder),
        logger=logger,
        enable_progress_bar=bool(logger),
        deterministic="warn" if deterministic else False,
    )


def fit(
    work: Work,
    module: pl.LightningModule,
    callbacks: Iterable[Callback],
    recorder: Recorder | None = None,
    logger: Logger | bool = False,
    deterministic: bool = False,
) -> Cost:
    """One segment inside Lightning, with the trainer as `mtl train` makes it."""
    clock = Clock(work.steps, recorder)
    trainer = trainer_of(work.total, work.folder, [*callbacks, clock], logger, deterministic)
    trainer.fit(module, work.loader())
    return clock.cost


def ours(
    work: Work,
    every: int | None = None,
    progress: bool = False,
    deterministic: bool = False,
    fills: bool = False,
    looks: bool = False,
) -> Cost:
    """`mtl`'s own step; a record of `every` steps, or none. `fills`: torch writes nan into all memory it takes.

    `looks`: at the tasks' gradients, in every step.
    """
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", fills)  # noqa: B010 (typed read-only)
    kinds = {name: task.kind.name for name, task in work.tasks.items()}
    weighting = Fixed(kinds, [1.0] * T)
    module = MultiTaskModule(work.model(), work.tasks, weighting, make_optimizer, work.total, {})
    module.dynamics = Dynamics(module.model, "shared", T, 1, 1) if looks else None
    recorder = None if every is None else Recorder(work.store, "ours", {})
    callbacks: list[Callback] = [] if recorder is None or every is None else [Record(recorder, every)]
    with recorder or nullcontext(), Path(os.devnull).open("w") as nowhere:
        if progress:
            line = Progress("step", work.total)
            line.console, line.live = Console(file=nowhere, force_terminal=True), True
            callbacks.append(line)
        return fit(work, module, callbacks, recorder, deterministic=deterministic)


class Usual(pl.LightningModule):
    """The same model as tutorials have it: a `self.log` for the loss and for each task's."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.model = work.model()

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Sum of the losses."""
        outputs = self.model(batch)
        losses = {name: F.cross_entropy(outputs[name], rows.targets) for name, rows in batch.tasks.items()}
        total = torch.stack(list(losses.values())).sum()
        self.log("loss", total, prog_bar=True, batch_size=ROWS)
        for name, loss in losses.items():
            self.log(f"{name}/loss", loss, batch_size=ROWS)
        return total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return make_optimizer(self.parameters())

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Lightning doesn't know the batch."""
        return batch.to(device)


def usual(work: Work) -> Cost:
    """Lightning's own MLflow logger and rich bar."""
    with Path(os.devnull).open("w") as nowhere:
        bar = RichProgressBar(console_kwargs={"file": nowhere, "force_terminal": True})
        logger = MLFlowLogger("usual", tracking_uri=work.store.uri, artifact_location=str(work.folder / "usual"))
        return fit(work, Usual(work), [bar], logger=logger)


ARMS: dict[str, Callable[[Work], Cost]] = {
    "the loop against itself": loop,
    "Lightning, nothing recorded": ours,
    "+ record of every 10 steps": partial(ours, every=10),
    "+ record of every step": partial(ours, every=1),
    "+ every 10, progress line": partial(ours, every=10, progress=True),
    "+ every 10, line, deterministic": partial(ours, every=10, progress=True, deterministic=True),
    "the same, new memory filled": partial(ours, every=10, progress=True, deterministic=True, fills=True),
    "MLFlowLogger, rich bar, 5 self.log": usual,
}


def measure(work: Work, repeats: int) -> dict[str, list[tuple[Cost, Cost]]]:
    """(loop, arm) pairs of each arm: arms in shuffled order, and each pair's two segments in either order."""
    order = random.Random(0)
    found: dict[str, list[tuple[Cost, Cost]]] = {name: [] for name in ARMS}
    for repeat in range(repeats):
        for name in order.sample(list(ARMS), len(ARMS)):
            print(f"\r{repeat + 1} of {repeats}: {name:40}", end="", file=sys.stderr, flush=True)
            if order.random() < 0.5:
                base, cost = loop(work), ARMS[name](work)
            else:
                cost, base = ARMS[name](work), loop(work)
            assert abs(cost.loss - base.loss) < 1e-3, f"{name} computes something else than the loop"
            found[name].append((base, cost))
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)
    return found


def table(found: dict[str, list[tuple[Cost, Cost]]]) -> Iterator[str]:
    """A row an arm, as Markdown."""
    yield "| | wall: ratio to the loop | processor | ms a step over the loop |"
    yield "|---|---|---|---|"
    for name, pairs in found.items():
        walls = sorted(cost.wall / base.wall for base, cost in pairs)
        cpus = sorted(cost.cpu / base.cpu for base, cost in pairs)
        over = statistics.median(cost.wall - base.wall for base, cost in pairs)
        spans = [f"{statistics.median(part):.2f} ({part[0]:.2f}-{part[-1]:.2f})" for part in (walls, cpus)]
        yield f"| {name} | {spans[0]} | {spans[1]} | {over:+.2f} |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trunk", choices=list(TRUNKS), default="lstm", help="what the tasks share (default: lstm)")
    parser.add_argument("--steps", type=int, default=60, help="measured steps of a segment (default: 60)")
    parser.add_argument("--repeats", type=int, default=15, help="pairs of segments an arm (default: 15)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    parser.add_argument("--data", action="store_true", help="draw and pad the batches while the clock runs")
    options = parser.parse_args(arguments)
    quieten()
    torch.set_num_threads(options.threads)
    words = shlex.join(arguments if arguments is not None else sys.argv[1:])
    print(f"$ python -m benchmarks.step {words}".rstrip())
    print(", ".join(machine(options.threads, "pytorch-lightning", "mlflow")))
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/mlflow.db", "step")
        work = Work(options.trunk, options.steps, options.data, store, Path(folder))
        found = measure(work, options.repeats)
    loops = statistics.median(base.wall for pairs in found.values() for base, _ in pairs)
    print(f"trunk {options.trunk}, {T} tasks, {ROWS} x {LENGTH} tokens; the loop: {loops:.1f} ms a step\n")
    print("\n".join(table(found)))
    return 0


def quieten() -> None:
    """Say nothing of what is on purpose."""
    for name in ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", category=FutureWarning)


if __name__ == "__main__":
    sys.exit(main())
