"""What `probe=switching` costs a run at its defaults, as a ratio to the same run without it."""

import argparse
import random
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning.callbacks import Callback

from benchmarks.step import quieten, trainer_of
from benchmarks.synth import BATCHES, ROWS, TRUNKS, machine, make_optimizer, make_tasks
from mtl.data.batch import Announced
from mtl.model.multitask import MultiTaskModel
from mtl.strategies.switching.composition.homogeneous import Homogeneous
from mtl.strategies.switching.composition.stratified import Stratified
from mtl.strategies.switching.order.blocks import Blocks
from mtl.strategies.switching.order.joint import Joint
from mtl.strategies.switching.order.round_robin import RoundRobin
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.rate.uniform import Uniform
from mtl.strategies.weighting.fixed import Fixed
from mtl.training.loaders import StepLoader
from mtl.training.module import MultiTaskModule
from mtl.training.probe import Probe

SWITCHINGS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "round_robin": (Homogeneous, RoundRobin),
    "blocks of 10": (Homogeneous, partial(Blocks, length=10)),
    "joint": (Stratified, Joint),
}


class Cost(NamedTuple):
    """Seconds of a run; the probe's own figure, and what it counted."""

    wall: float
    cpu: float
    share: float = 0.0
    windows: int = 0
    gradients: int = 0
    loss: float = 0.0


def rows_to_probe(tasks: int, own_rows: bool) -> dict[str, Announced]:
    """Synthetic tasks of which the last 64 rows are for validation."""
    found = {}
    for name, task in make_tasks(tasks, own_rows).items():
        rows = task.labelled.rows["train"]
        found[name] = replace(task, labelled=replace(task.labelled, rows={"train": rows[:-64], "val": rows[-64:]}))
    return found


def fit(tasks: dict[str, Announced], switching: str, trunk: str, steps: int, probed: bool) -> Cost:
    """One run of so many steps."""
    torch.manual_seed(0)
    known = {name: task.labelled.task for name, task in tasks.items()}
    weighting = Fixed({name: task.kind.name for name, task in known.items()}, [1.0] * len(known))
    model = MultiTaskModel(TRUNKS[trunk](), {name: task.kind for name, task in known.items()})
    module = MultiTaskModule(model, known, weighting, make_optimizer, steps, {})
    sizes = dict.fromkeys(tasks, ROWS * BATCHES - 64)
    loader = StepLoader(tasks, Plan(sizes, ROWS, steps, 0, *SWITCHINGS[switching], Uniform), 0)
    probe = Probe(tasks, steps, 0, lambda *_: None, lambda *_: None) if probed else None
    callbacks: list[Callback] = [] if probe is None else [probe]
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(steps, Path(folder), callbacks)
        wall, cpu = time.perf_counter(), time.process_time()
        trainer.fit(module, loader)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    total = float(sum(parameter.detach().double().abs().sum() for parameter in model.parameters()))
    if probe is None:
        return Cost(wall, cpu, loss=total)
    trace = probe.trace
    return Cost(wall, cpu, trace.share_of_time, trace.windows, len(trace.gradients), total)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trunk", choices=list(TRUNKS), default="lstm", help="what the tasks share (default: lstm)")
    parser.add_argument("--tasks", type=int, default=4, help="how many (default: 4)")
    parser.add_argument("--steps", type=int, default=300, help="of a run (default: 300)")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of runs a switching (default: 5)")
    options = parser.parse_args(arguments)
    quieten()
    torch.set_num_threads(1)
    words = shlex.join(arguments if arguments is not None else sys.argv[1:])
    print(f"$ python -m benchmarks.probe {words}".rstrip())
    print(", ".join(machine(1, "pytorch-lightning")) + "\n")
    print("| switching | processor | wall | recorded share of time | windows | gradients |\n|---|---|---|---|---|---|")
    order = random.Random(0)
    for switching in SWITCHINGS:
        tasks, pairs = rows_to_probe(options.tasks, own_rows=switching != "joint"), []
        run = partial(fit, tasks, switching, options.trunk, options.steps)
        for _ in range(options.repeats):
            first = order.random() < 0.5
            one, other = run(first), run(not first)
            off, on = (other, one) if first else (one, other)
            assert off.loss == on.loss, "the probe changed the training"
            pairs.append((off, on))
        ratios = [sorted(on[k] / off[k] for off, on in pairs) for k in (1, 0)]
        shown = [f"{statistics.median(part):.3f} ({part[0]:.2f}-{part[-1]:.2f})" for part in ratios]
        share = statistics.median(on.share for _, on in pairs)
        on = pairs[0][1]
        print(f"| {switching} | {' | '.join(shown)} | {share:.3f} | {on.windows} | {on.gradients} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
