"""What switching costs, as ratios: planning with adaptive rates, mixed batches, going on from a late step."""

import argparse
import random
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from benchmarks.synth import LENGTH, ROWS, TRUNKS, C, machine, make_optimizer, make_tasks
from mtl.model.multitask import MultiTaskModel
from mtl.strategies.switching.composition.base import Composition
from mtl.strategies.switching.composition.homogeneous import Homogeneous
from mtl.strategies.switching.composition.mixed import Mixed
from mtl.strategies.switching.composition.stratified import Stratified
from mtl.strategies.switching.order.joint import Joint
from mtl.strategies.switching.order.shuffled import Shuffled
from mtl.strategies.switching.plan import Plan
from mtl.strategies.switching.rate.bandit import Bandit
from mtl.strategies.switching.rate.base import Rate
from mtl.strategies.switching.rate.loss_ratio import LossRatio
from mtl.strategies.switching.rate.slope import Slope
from mtl.strategies.switching.rate.uniform import Uniform
from mtl.training.loaders import StepLoader

POLICIES: dict[str, Callable[..., Rate]] = {
    "uniform": Uniform, "bandit": Bandit, "loss_ratio": LossRatio, "slope": Slope,
}  # fmt: skip
STEPS = (100, 10_000, 1_000_000)
BLOCK = 100


def plan_ms(rate: Callable[..., Rate], tasks: int, steps: int) -> float:
    """Milliseconds a step of planning, and of telling the plan the step's losses, rows and seconds."""
    names = [f"task{number}" for number in range(tasks)]
    plan = Plan(dict.fromkeys(names, 512), ROWS // tasks, steps, 0, Mixed, Shuffled, rate, BLOCK)
    places, losses = torch.arange(tasks), torch.rand(tasks) + 0.5
    began = time.perf_counter()
    for step in range(steps):
        rows = plan.rows(step)
        if plan.rate.adaptive:
            here = [place for place, name in enumerate(names) if name in rows]
            counts = torch.tensor(list(rows.values()), dtype=torch.float64)
            plan.tally.add(places[here], losses[here], counts, 0.01)
    return 1000 * (time.perf_counter() - began) / steps


def step_ms(trunk: str, tasks: int, composition: Callable[..., Composition], batch_size: int, steps: int) -> float:
    """Milliseconds of a training step, its rows drawn and padded; tasks have rows of their own."""
    announced = make_tasks(tasks, own_rows=True)
    order = Joint if composition is Stratified else Shuffled
    plan = Plan(dict.fromkeys(announced, 512), batch_size, steps + 3, 0, composition, order, Uniform, BLOCK)
    torch.manual_seed(0)
    model = MultiTaskModel(TRUNKS[trunk](), {name: found.labelled.task.kind for name, found in announced.items()})
    optimizer, began = make_optimizer(model.parameters()), 0.0
    for step, batch in enumerate(StepLoader(announced, plan, 0)):
        if step == 3:
            began = time.perf_counter()
        losses = [announced[n].labelled.task.kind.loss(out, batch.tasks[n].targets) for n, out in model(batch).items()]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
    return 1000 * (time.perf_counter() - began) / steps


def resume_ms(step: int) -> float:
    """Milliseconds from the state of a loader that has reached `step` to its next batch."""
    announced = make_tasks(4, own_rows=True)

    def make() -> StepLoader:
        plan = Plan(dict.fromkeys(announced, 512), 8, 2 * STEPS[-1], 0, Mixed, Shuffled, Bandit, BLOCK)
        return StepLoader(announced, plan, 0)

    there = make()
    next(iter(there))
    state = there.state_dict()
    # the state that a run has there, without training that far: a loader's memory is a position and one block
    state["step"] = step - step % BLOCK + 1
    state["plan"]["block"] = step // BLOCK
    for counts in state["used"].values():
        counts.update({name: count * step for name, count in counts.items()})
    resumed = make()
    began = time.perf_counter()
    resumed.load_state_dict(state)
    next(iter(resumed))
    return 1000 * (time.perf_counter() - began)


def spread(values: Sequence[float], unit: str = "") -> str:
    """Median, least and greatest."""
    return f"{statistics.median(values):.3g}{unit} ({min(values):.3g}-{max(values):.3g})"


def measure(trunk: str, steps: int, repeats: int) -> Iterator[str]:
    """Rows of the table, as Markdown; the arms of a repeat come in shuffled order."""
    order, tasks = random.Random(0), 8
    whole: Callable[[], float] = partial(step_ms, trunk, 1, Homogeneous, ROWS, steps)
    mixed: Callable[[], float] = partial(step_ms, trunk, 4, Stratified, ROWS // 4, steps)
    base, ratios, shares = [], [], {name: [] for name in POLICIES}
    for _ in range(repeats):
        found: dict[str, float] = {}
        for name, arm in order.sample([("whole", whole), ("mixed", mixed)], 2):
            found[name] = arm()
        base.append(found["whole"])
        ratios.append(found["mixed"] / found["whole"])
        for name in order.sample(list(POLICIES), len(POLICIES)):
            shares[name].append(100 * plan_ms(POLICIES[name], tasks, 10 * BLOCK) / found["whole"])
    times = {step: [resume_ms(step) for _ in range(max(repeats, 3))] for step in STEPS}
    yield f"trunk {trunk}, {ROWS} x {LENGTH} tokens, {C} classes; a step of one task: {spread(base, ' ms')}\n"
    yield "| | median (least-greatest) | target |"
    yield "|---|---|---|"
    for name, values in shares.items():
        yield f"| plan and {name}, {tasks} tasks, share of a step | {spread(values, ' %')} | 1 % |"
    yield f"| mixed batch of 4 tasks / one task's of as many rows | {spread(ratios)} | 1.05 |"
    for step, values in times.items():
        target = "" if step == STEPS[0] else f"as at {STEPS[0]}"
        yield f"| loaders go on at step {step:,} | {spread(values, ' ms')} | {target} |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trunk", choices=list(TRUNKS), default="lstm", help="what the tasks share (default: lstm)")
    parser.add_argument("--steps", type=int, default=60, help="measured steps of a segment (default: 60)")
    parser.add_argument("--repeats", type=int, default=9, help="of each measurement (default: 9)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    words = shlex.join(arguments if arguments is not None else sys.argv[1:])
    print(f"$ python -m benchmarks.switching {words}".rstrip())
    print(", ".join(machine(options.threads)))
    print("\n".join(measure(options.trunk, options.steps, options.repeats)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
