"""What a step costs with each weighting, as a ratio to a hand-written loop; beside TorchJD where it is installed."""

import argparse
import itertools
import random
import shlex
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn

from benchmarks.synth import BATCHES, LENGTH, ROWS, TRUNKS, C, machine, make_loader, make_optimizer, make_tasks
from mtl.cli.instantiate import instantiate
from mtl.data.batch import Batch
from mtl.errors import MtlError
from mtl.model.base import Trunk
from mtl.model.multitask import MultiTaskModel
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.training.gradients import Where, weigh_gradients

CONF = Path(__file__).parents[1] / "conf" / "weighting"
WEIGHTINGS = sorted(path.stem for path in CONF.glob("*.yaml") if not path.stem.startswith("fixed_"))
THEIRS = {
    "upgrad": "UPGrad",
    "mgda": "MGDA",
    "pcgrad": "PCGrad",
    "aligned_mtl": "AlignedMTL",
    "imtl_g": "IMTLG",
    "cagrad": "CAGrad",
    "nash_mtl": "NashMTL",
    "fairgrad": "FairGrad",
    "gradvac": "GradVac",
    "dualproj": "DualProj",
    "conflict_free": "ConFIG",
    "famo": "FAMO",
}
"""TorchJD's names."""
PLACES: tuple[Where, ...] = get_args(Where)
WARM_UP = 3

Clock = Callable[[], float]
Step = Callable[[Batch], Tensor]
"""One training step, to the K losses before it."""


@dataclass(frozen=True)
class Work:
    """The same start and batches for every arm."""

    trunk: str
    tasks: int
    own_rows: bool

    def make_trunk(self) -> Trunk:
        """The same weights each time."""
        torch.manual_seed(0)
        return TRUNKS[self.trunk]()

    def batches(self) -> list[Batch]:
        """All of them, made in advance."""
        return list(make_loader(make_tasks(self.tasks, self.own_rows), BATCHES))


class ByHand(nn.Module):
    """Trunk and heads as one would write them, and the K losses of a batch."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.trunk = work.make_trunk()
        self.heads = nn.ModuleDict({f"task{number}": nn.Linear(self.trunk.width, C) for number in range(work.tasks)})

    def texts(self, batch: Batch) -> Tensor:
        """U x D features."""
        return self.trunk.pool(self.trunk(batch.ids, batch.lengths), batch.lengths)

    def losses(self, batch: Batch, texts: Tensor) -> list[Tensor]:
        """A tensor a task."""
        return [
            F.cross_entropy(self.heads[name](texts if rows.inputs is None else texts[rows.inputs]), rows.targets)
            for name, rows in batch.tasks.items()
        ]


def loop(work: Work) -> Step:
    """The sum of the losses, one backward."""
    model = ByHand(work)
    optimizer = make_optimizer(model.parameters())

    def step(batch: Batch) -> Tensor:
        losses_K = torch.stack(model.losses(batch, model.texts(batch)))
        optimizer.zero_grad()
        losses_K.sum().backward()
        optimizer.step()
        return losses_K.detach()

    return step


def backward_a_task(work: Work) -> Step:
    """The limit of all that look at exact gradients one by one: K trunk backwards, summed, no Gramian and no solver."""
    model = ByHand(work)
    parameters = list(model.parameters())
    optimizer = make_optimizer(parameters)

    def step(batch: Batch) -> Tensor:
        losses = model.losses(batch, model.texts(batch))
        optimizer.zero_grad()
        for place, loss in enumerate(losses):
            loss.backward(retain_graph=place < len(losses) - 1)
        optimizer.step()
        return torch.stack(losses).detach()

    return step


def make_weighting(name: str, tasks: int) -> Weighting:
    """As `weighting=name` makes it; MtlError where it doesn't fit the tasks."""
    kinds = {f"task{number}": "classification" for number in range(tasks)}
    return instantiate("weighting", OmegaConf.load(CONF / f"{name}.yaml"), tasks=kinds)


def ours(work: Work, weighting: Weighting, where: Where) -> Step:
    """What `MultiTaskModule` does, without Lightning and without a record."""
    kinds = {task: found.labelled.task.kind for task, found in make_tasks(work.tasks).items()}
    model = MultiTaskModel(work.make_trunk(), kinds)
    losses = {task: kind.loss for task, kind in kinds.items()}
    groups = [{"params": list(model.parameters())}]
    if own := list(weighting.parameters()):
        groups.append({"params": own})
    optimizer = make_optimizer(groups)
    places, count = torch.arange(work.tasks), itertools.count()

    def signals(losses_K: Tensor) -> Signals:
        done = next(count)
        return Signals(places, losses_K, done, 10_000, done // BATCHES)

    def step(batch: Batch) -> Tensor:
        if weighting.needs_gramian:
            done = weigh_gradients(model, batch, losses, weighting, signals, where)
            assert done is not None
            told, _, total = done
        else:
            outputs = model(batch)
            losses_K = torch.stack([losses[task](outputs[task], rows.targets) for task, rows in batch.tasks.items()])
            told = signals(losses_K.detach())
            total = (weighting(told) * losses_K).sum() + weighting.penalty(told)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return told.losses

    return step


def torchjds(work: Work, name: str) -> Step:
    """TorchJD's documented step, one backward at a time: its faster way on a CPU."""
    from torchjd import aggregation
    from torchjd.autojac import jac_to_grad, mtl_backward

    options = {
        "nash_mtl": {"n_tasks": work.tasks},
        "cagrad": {"c": 0.4},
        "fairgrad": {"alpha": 2.0},
    }.get(name, {})
    aggregator = getattr(aggregation, THEIRS[name])(**options)
    model = ByHand(work)
    shared = list(model.trunk.parameters())
    optimizer = make_optimizer(model.parameters())

    def step(batch: Batch) -> Tensor:
        texts = model.texts(batch)
        losses = model.losses(batch, texts)
        optimizer.zero_grad()
        mtl_backward(losses, features=texts, parallel_chunk_size=1)
        jac_to_grad(shared, aggregator)
        optimizer.step()
        return torch.stack(losses).detach()

    return step


def torchjds_famo(work: Work, name: str = "famo") -> Step:
    """TorchJD's documented step of its FAMO: after it the losses of the same batch once more, without gradients."""
    from torchjd import scalarization

    scalarizer = scalarization.FAMO(work.tasks)
    model = ByHand(work)
    optimizer = make_optimizer(model.parameters())

    def step(batch: Batch) -> Tensor:
        losses_K = torch.stack(model.losses(batch, model.texts(batch)))
        optimizer.zero_grad()
        scalarizer(losses_K).backward()
        optimizer.step()
        with torch.no_grad():
            scalarizer.update(torch.stack(model.losses(batch, model.texts(batch))))
        return losses_K.detach()

    return step


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
        if name in THEIRS and find_spec("torchjd"):
            try:
                make = torchjds_famo if name == "famo" else torchjds
                arms.append(Arm(name, "TorchJD", make(work, name)))
            except (ImportError, AttributeError) as error:
                skipped[f"TorchJD's {THEIRS[name]}"] = str(error)
    if not find_spec("torchjd"):
        skipped["TorchJD"] = "not installed (`pip install '.[torchjd]'`)"
    skipped["LibMTL"] = "no arm is written for it: it is not on the package index"
    return arms, skipped


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
    places = ["", "losses", *PLACES, "TorchJD"]
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
    print("left out: memory: torch's allocator keeps no statistics on a CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
