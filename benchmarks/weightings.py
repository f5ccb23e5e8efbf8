"""What a step costs with each weighting, as a ratio to a hand-written loop, beside TorchJD and LibMTL."""

import argparse
import random
import shlex
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import get_args

import torch

from benchmarks.arms import WEIGHTINGS, Step, Work, backward_a_task, loop, make_weighting, ours
from benchmarks.rivals import missing, rivals
from benchmarks.synth import LENGTH, ROWS, TRUNKS, machine
from mtl.data.batch import Batch
from mtl.errors import MtlError
from mtl.strategies.weighting.base import Weighting
from mtl.training.where import Where

PLACES: tuple[Where, ...] = get_args(Where)
WARM_UP = 3


Clock = Callable[[], float]


@dataclass
class Arm:
    """A way to take a step, at one number of tasks."""

    name: str
    where: str
    step: Step
    weighting: Weighting | None = None
    """Where it is one of ours."""
    taken: int = 0
    pairs: list[tuple[float, float]] = field(default_factory=list)
    """Milliseconds a step of the loop and of this arm, side by side."""

    def run(self, batches: Sequence[Batch], steps: int, clock: Clock) -> float:
        """Milliseconds a step, going on where it stopped."""
        begin = clock()
        for _ in range(steps):
            self.step(batches[self.taken % len(batches)])
            self.taken += 1
        return 1000 * (clock() - begin) / steps

    @property
    def ratios(self) -> list[float]:
        """To the loop, in order."""
        return sorted(cost / base for base, cost in self.pairs)


def make_arms(work: Work, names: Sequence[str], wheres: Sequence[Where]) -> tuple[list[Arm], dict[str, str]]:
    """The arms, and why the others are left out."""
    arms = [Arm("the loop against itself", "", loop(work)), Arm("a backward a task", "", backward_a_task(work))]
    skipped = {}
    for name in names:
        try:
            weighting = make_weighting(name, work.tasks)
        except MtlError as error:
            skipped[f"{name}, {work.tasks} tasks"] = str(error)
            continue
        for where in wheres if weighting.needs_gramian else wheres[:1]:
            if weighting.needs_gramian and where == "features" and (work.own_rows or weighting.same_coordinates):
                continue
            made = make_weighting(name, work.tasks)
            arms.append(Arm(name, where if made.needs_gramian else "losses", ours(work, made, where), made))
        for library, make in rivals(work, name).items():
            try:
                if isinstance(make, str):
                    raise ImportError(make)
                arms.append(Arm(name, library, make()))
            except (ImportError, AttributeError) as error:
                skipped[f"{name}, {library}"] = str(error)
    return arms, skipped | missing()


def measure(work: Work, arms: Sequence[Arm], steps: int, repeats: int, clock: Clock) -> float:
    """Fill in the pairs: arms in shuffled order, each pair's two blocks in either order. Milliseconds of the loop."""
    order, batches = random.Random(0), work.batches()
    base = Arm("the loop", "", loop(work))
    expected = base.step(batches[0])
    base.run(batches, WARM_UP, clock)
    for arm in arms:
        found = arm.step(batches[0])
        arm.taken += 1
        assert torch.allclose(found, expected, atol=1e-4), f"{arm.name} ({arm.where}) computes other losses"
        arm.run(batches, WARM_UP, clock)
    for repeat in range(repeats):
        for arm in order.sample(list(arms), len(arms)):
            tell(f"{work.tasks} tasks, {repeat + 1} of {repeats}: {arm.name}")
            found = {way.where + way.name: way.run(batches, steps, clock) for way in order.sample([base, arm], 2)}
            arm.pairs.append((found[base.where + base.name], found[arm.where + arm.name]))
    tell("")
    return statistics.median(cost for arm in arms for cost, _ in arm.pairs)


def tell(line: str) -> None:
    """How far it is, to a person."""
    if sys.stderr.isatty():
        print(f"\r{line:70}\r", end="", file=sys.stderr, flush=True)


def table(found: dict[int, list[Arm]]) -> Iterator[str]:
    """A row an arm, a column a number of tasks, as Markdown."""
    yield "| weighting | gradients | " + " | ".join(f"T = {tasks}" for tasks in found) + " |"
    yield "|---|---|" + "---|" * len(found)
    places = ["", "losses", *PLACES, "TorchJD", "LibMTL", "LibMTL, features"]
    keys = dict.fromkeys((arm.where, arm.name) for arms in found.values() for arm in arms)
    for where, name in sorted(keys, key=lambda key: places.index(key[0])):
        cells = []
        for arms in found.values():
            ratios = next((arm.ratios for arm in arms if (arm.where, arm.name) == (where, name)), None)
            cells.append(f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})" if ratios else "")
        yield f"| {name} | {where} | " + " | ".join(cells) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--weightings", default=",".join(WEIGHTINGS), help="names in conf/weighting, with commas (default: all)")
    add("--tasks", default="2,4,8,16", help="numbers of tasks, with commas (default: 2,4,8,16)")
    add("--where", default="features,shared", help="where Gramians are taken (default: features,shared)")
    add("--trunk", choices=list(TRUNKS), default="lstm", help="what the tasks share (default: lstm)")
    add("--own-rows", action="store_true", help="32 rows of its own a task, in place of 32 that all share")
    add("--steps", type=int, default=4, help="steps of a block (default: 4)")
    add("--repeats", type=int, default=9, help="pairs of blocks an arm (default: 9)")
    add("--threads", type=int, default=1, help="of torch (default: 1)")
    add("--wall", action="store_true", help="wall time; by default processor time, which other load disturbs less")
    options = parser.parse_args(arguments)
    names: list[str] = options.weightings.split(",")
    wheres: list[Where] = options.where.split(",")
    if unknown := [name for name in names if name not in WEIGHTINGS] + [w for w in wheres if w not in PLACES]:
        parser.error(f"there is no '{unknown[0]}'; weightings: {', '.join(WEIGHTINGS)}; places: {', '.join(PLACES)}")
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(options.threads)
    words = shlex.join(arguments if arguments is not None else sys.argv[1:])
    print(f"$ python -m benchmarks.weightings {words}".rstrip())
    print(", ".join(machine(options.threads, *["torchjd"] * bool(find_spec("torchjd")))))
    rows = f"{ROWS} x {LENGTH} tokens{' of its own a task' * options.own_rows}"
    print(f"trunk {options.trunk}, {rows}, {'wall' if options.wall else 'processor'} time")
    clock = time.perf_counter if options.wall else time.process_time
    found, skipped = {}, {}
    for tasks in map(int, options.tasks.split(",")):
        work = Work(options.trunk, tasks, options.own_rows)
        found[tasks], left_out = make_arms(work, names, wheres)
        skipped |= left_out
        base = measure(work, found[tasks], options.steps, options.repeats, clock)
        print(f"{tasks} tasks, the loop: {base:.1f} ms a step", flush=True)
    print("\n" + "\n".join(table(found)) + "\n")
    for tasks, arms in found.items():
        for arm in arms:
            if arm.weighting is not None and (times := int(arm.weighting.fallbacks)):
                print(
                    f"{arm.name}, {arm.where}, {tasks} tasks: no weights in {times} of {arm.taken} steps, equal taken"
                )
    print("\n".join(f"left out: {what}: {why}" for what, why in skipped.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
