"""What the record costs a training step: Lightning with it against Lightning without, and against the loop."""

import argparse
import json
import logging
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.step import Cost, T, Work, loop, ours, quieten
from benchmarks.synth import TRUNKS, machine
from mtl.tracking.recorder import Recorder
from mtl.tracking.store import Store, open_store
from mtl.training.dynamics import STEPS_A_TASK

ARMS: dict[str, tuple[Callable[[Work], Cost], Callable[[Work], Cost]]] = {
    "not recorded, against itself": (ours, ours),
    "every step, against not recorded": (partial(ours, every=1), ours),
    "every 10 steps, against not recorded": (partial(ours, every=10), ours),
    "a look at gradients in each step, against not recorded": (partial(ours, looks=True), ours),
    "every step, against the loop": (partial(ours, every=1), loop),
    "every 10 steps, against the loop": (partial(ours, every=10), loop),
}


def measure(work: Work, repeats: int) -> dict[str, list[tuple[Cost, Cost]]]:
    """(base, arm) pairs: arms in shuffled order, each pair's two segments in either order."""
    order = random.Random(0)
    found: dict[str, list[tuple[Cost, Cost]]] = {name: [] for name in ARMS}
    for _ in range(repeats):
        for name in order.sample(list(ARMS), len(ARMS)):
            arm, base = ARMS[name]
            if order.random() < 0.5:
                first, second = base(work), arm(work)
            else:
                second, first = arm(work), base(work)
            found[name].append((first, second))
    return found


def span(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.2f}-{max(ratios):.2f})"


def a_point(store: Store, steps: int = 20000) -> tuple[float, float]:
    """Microseconds on the training thread to write 8 metrics, of a bare `json.dumps` of the same line."""
    values = {f"train/task{task}/{name}": 1 / (3 + task) for task in range(4) for name in ("loss", "weight")}
    with Recorder(store, "writes", {}) as recorder:
        began = time.thread_time()
        for step in range(steps):
            recorder.metrics(values, step)
        ours_us = 1e6 * (time.thread_time() - began) / steps
    began = time.thread_time()
    for step in range(steps):
        json.dumps(["metrics", 1700000000000, step, values])
    return ours_us, 1e6 * (time.thread_time() - began) / steps


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trunk", choices=list(TRUNKS), default="lstm", help="what the tasks share (default: lstm)")
    parser.add_argument("--steps", type=int, default=60, help="measured steps of a segment (default: 60)")
    parser.add_argument("--repeats", type=int, default=11, help="pairs of segments an arm (default: 11)")
    options = parser.parse_args(arguments)
    quieten()
    logging.getLogger("mtl").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    print(", ".join(machine(1, "pytorch-lightning", "mlflow")))
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/mlflow.db", "recording")
        found = measure(Work(options.trunk, options.steps, False, store, Path(folder)), options.repeats)
        line, bare = a_point(store)
    print(f"trunk {options.trunk}, {T} tasks, {options.repeats} pairs of {options.steps} steps\n")
    print("| | wall | processor |\n|---|---|---|")
    for name, pairs in found.items():
        walls = [arm.wall / base.wall for base, arm in pairs]
        cpus = [arm.cpu / base.cpu for base, arm in pairs]
        print(f"| {name} | {span(walls)} | {span(cpus)} |")
    looks = [arm.cpu / base.cpu - 1 for base, arm in found["a look at gradients in each step, against not recorded"]]
    every = STEPS_A_TASK * T
    share = 100 * statistics.median(looks) / every
    print(f"\na look in every {every} steps (the default for {T} tasks): {share:.2f} %")
    print(f"a line of 8 metrics: {line:.0f} us on the training thread (json alone: {bare:.0f} us)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
