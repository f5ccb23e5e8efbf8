"""How much memory a step takes at its peak with each weighting, as a ratio to a hand-written loop; rivals beside it."""

import argparse
import gc
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.arms import WEIGHTINGS, Step, Work, loop, make_weighting, ours
from benchmarks.rivals import missing, rivals
from benchmarks.synth import LENGTH, ROWS, TRUNKS, machine

STEPS = 2
"""The optimiser has its memory from the first on."""


def peak(work: Work, make: Callable[[], Step]) -> int:
    """The most bytes that torch holds at a time from the first parameter on, over a few steps.

    Every allocation of torch is added up, and every release taken off again; batches are made before.
    """
    batches = work.batches()
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled:
        step = make()
        for batch in batches[:STEPS]:
            step(batch)
            gc.collect()  # whether a cycle is still there should not be left to chance
    assert profiled.profiler is not None
    assert profiled.profiler.kineto_results is not None
    found = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    found.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in found))


def arms(work: Work, names: Sequence[str]) -> Iterator[tuple[str, str, Callable[[], Step]]]:
    """Weighting, where its gradients are taken, and its step; each is made when it is measured."""
    for name in names:
        gramian = make_weighting(name, work.tasks).needs_gramian
        for where in ("features", "shared")[work.own_rows :] if gramian else ("losses",):
            place = "shared" if where == "losses" else where
            yield name, where, lambda name=name, place=place: ours(work, make_weighting(name, work.tasks), place)
        for library, make in rivals(work, name).items():
            if not isinstance(make, str):
                yield name, library, make


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--weightings", default="equal,upgrad,mgda,pcgrad", help="names in conf/weighting, with commas")
    add("--tasks", default="2,4,8", help="numbers of tasks, with commas (default: 2,4,8)")
    add("--trunk", choices=list(TRUNKS), default="transformer", help="what the tasks share (default: transformer)")
    add("--own-rows", action="store_true", help="32 rows of its own a task, in place of 32 that all share")
    options = parser.parse_args(arguments)
    names: list[str] = options.weightings.split(",")
    if unknown := [name for name in names if name not in WEIGHTINGS]:
        parser.error(f"there is no '{unknown[0]}'; weightings: {', '.join(WEIGHTINGS)}")
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    words = shlex.join(arguments if arguments is not None else sys.argv[1:])
    print(f"$ python -m benchmarks.memory {words}".rstrip())
    print(", ".join(machine(1)))
    print(f"trunk {options.trunk}, {ROWS} x {LENGTH} tokens{' of its own a task' * options.own_rows}")
    found: dict[tuple[str, str], dict[int, float]] = {}
    counts = [int(tasks) for tasks in options.tasks.split(",")]
    for tasks in counts:
        work = Work(options.trunk, tasks, options.own_rows)
        base = peak(work, lambda work=work: loop(work))
        print(f"{tasks} tasks, the loop: {base / 2**20:.1f} MiB", flush=True)
        for name, where, make in arms(work, names):
            ratio = found.setdefault((name, where), {})[tasks] = peak(work, make) / base
            print(f"{tasks} tasks, {name}, {where}: {ratio:.3f}", flush=True)
    print("\n| weighting | gradients | " + " | ".join(f"T = {tasks}" for tasks in counts) + " |")
    print("|---|---|" + "--:|" * len(counts))
    for (name, where), ratios in found.items():
        print(f"| {name} | {where} | " + " | ".join(f"{ratios[tasks]:.3f}" for tasks in counts) + " |")
    print("\n" + "\n".join(f"left out: {what}: {why}" for what, why in missing().items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
