"""Which weighting finds which part of a known Pareto front: `mtl reproduce fronts`."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from mtl.reporting.measured import write_measured
from mtl.strategies.weighting.aligned_mtl import AlignedMTL
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.cagrad import CAGrad
from mtl.strategies.weighting.dualproj import DualProj
from mtl.strategies.weighting.epo import EPO
from mtl.strategies.weighting.equal import Equal
from mtl.strategies.weighting.imtl_g import IMTLG
from mtl.strategies.weighting.linear import Linear
from mtl.strategies.weighting.mgda import MGDA
from mtl.strategies.weighting.nash_mtl import NashMTL
from mtl.strategies.weighting.stch import SmoothTchebycheff
from mtl.strategies.weighting.tchebycheff import Tchebycheff
from mtl.strategies.weighting.upgrad import UPGrad

from .measures import covered, distances, hypervolume, on_ray
from .picture import draw
from .problems import QUADRATICS, VLMOP2, Problem, preferences

TASKS = {"first": "regression", "second": "regression"}
FINE = 4001
"""Points by which a front is known."""

SWEEPS: dict[str, Callable[[tuple[float, float]], Weighting]] = {
    "linear": lambda preference: Linear(TASKS, preference),
    "tchebycheff": lambda preference: Tchebycheff(TASKS, preference),
    "epo": lambda preference: EPO(TASKS, preference),
    "stch": lambda preference: SmoothTchebycheff(TASKS, mu=0.04, form="plain", preference=preference),
    "mgda": lambda preference: MGDA(TASKS),
    "upgrad": lambda preference: UPGrad(TASKS),
}
"""A weighting for each of the preferences, which MGDA and UPGrad cannot hear: these vary by their starts alone."""
AIM = ("tchebycheff", "epo", "stch")
"""Those that aim at the ray of their preference, where preference times loss is equal for both tasks."""

DESCENTS: dict[str, tuple[Callable[[], Weighting], float]] = {
    "equal": (lambda: Equal(TASKS), 1.0),
    "mgda": (lambda: MGDA(TASKS), 2.0),
    "dualproj": (lambda: DualProj(TASKS), 1.0),
    "imtl_g": (lambda: IMTLG(TASKS), 1.0),
    "cagrad": (lambda: CAGrad(TASKS, c=0.5), 1.0),
    "nash_mtl": (lambda: NashMTL(TASKS), 2.0),
    "aligned_mtl": (lambda: AlignedMTL(TASKS), 2.0),
    "upgrad": (lambda: UPGrad(TASKS), 1.0),
}
"""With TorchJD's multiples of the learning rate; half of its 4 for Aligned-MTL, there a mean and here a sum."""
OVERRIDES = {("hqf", "nash_mtl"): 20.0, ("cqf", "nash_mtl"): 0.5, ("hqf", "imtl_g"): 2.0}
"""TorchJD's own, for single problems."""


def descend(
    problem: Problem, weightings: Sequence[Weighting], x: Tensor, rates: Sequence[float], longest: float = torch.inf
) -> Tensor:
    """Points (K + 1 x R x D) of R runs of gradient descent, each with its weighting; steps are cut to `longest`."""
    points = [x]
    tasks = torch.arange(2)
    for step, rate in enumerate(rates):
        values, slopes = problem(x)
        grams = slopes @ slopes.mT
        weights = torch.stack(
            [
                weighting(Signals(tasks, value, step=step, total_steps=len(rates), gramian=gram)).detach().to(x)
                for weighting, value, gram in zip(weightings, values, grams, strict=True)
            ]
        )
        direction = (weights[..., None] * slopes).sum(1)
        norm = direction.norm(dim=-1, keepdim=True)
        x = x - rate * direction * (longest / norm).clamp(max=1)
        points.append(x)
    return torch.stack(points)


def sweep(name: str, runs: int, steps: int, seed: int = 0) -> Tensor:
    """VLMOP2 from `runs` random starts in [-0.5, 0.5]^20, with preferences spread evenly over the simplex.

    The rate falls from 0.2 to 0 in a straight line, so that the kinked Tchebycheff settles too.
    """
    problem = VLMOP2()
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(runs, problem.dimensions, generator=generator, dtype=torch.float64) - 0.5
    weightings = [SWEEPS[name]((first, second)) for first, second in preferences(runs).tolist()]
    return descend(problem, weightings, x, [0.2 * (1 - step / steps) for step in range(steps)])


def quadratic(key: str, name: str) -> Tensor:
    """TorchJD's protocol; its Nash-MTL is cut to length 1."""
    problem = QUADRATICS[key]
    make, multiple = DESCENTS[name]
    rate = problem.rate * OVERRIDES.get((key, name), multiple)
    weightings = [make() for _ in problem.starts]
    longest = 1.0 if name == "nash_mtl" else torch.inf
    return descend(problem, weightings, problem.starts, [rate] * problem.steps, longest)


def measure(problem: Problem, ends: Tensor, aims: bool) -> dict[str, float]:
    """Mean and largest distance to the front, hypervolume in shares of the front's own, parts of ten covered; for those
    that aim, the mean distance to the point of the front on the ray of the preference.
    """
    front, values = problem(problem.pareto_set(FINE))[0], problem(ends)[0]
    distance = distances(values, front)
    aimed = {"ray": (values - on_ray(front, preferences(len(ends)))).norm(dim=-1).mean().item()} if aims else {}
    return {
        "distance": distance.mean().item(),
        "farthest": distance.max().item(),
        "hypervolume": hypervolume(values, problem.reference) / hypervolume(front, problem.reference),
        "covered": float(covered(values, front)),
        **aimed,
    }


def run(quick: bool, progress: Progress) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Paths and cells by `problem/method`."""
    jobs: dict[str, tuple[Problem, Callable[[], Tensor]]] = {
        f"{key}/{name}": (problem, lambda key=key, name=name: quadratic(key, name))
        for key, problem in QUADRATICS.items()
        for name in DESCENTS
    }
    for name in SWEEPS:
        runs, steps = (10, 300) if quick else (40, 1000)
        jobs[f"vlmop2/{name}"] = (
            VLMOP2(),
            lambda name=name, runs=runs, steps=steps: sweep(name, runs, steps),
        )
    paths: dict[str, Tensor] = {}
    cells: dict[str, float] = {}
    bar = progress.add_task("methods on problems", total=len(jobs))
    for key, (problem, job) in jobs.items():
        paths[key] = job()
        found = measure(problem, paths[key][-1], key.split("/")[1] in AIM)
        cells |= {f"{key}/{measure_}": value for measure_, value in found.items()}
        progress.advance(bar)
    return paths, cells


def table(cells: dict[str, float], problem: str, names: Sequence[str]) -> Table:
    """A row a method."""
    sets = problem == "vlmop2"
    heads = ("distance", "farthest", "hypervolume", *(("covered", "ray") if sets else ()))
    found = Table("method", *heads, title=problem)
    for name in names:
        values = {head: cells[key] for head in heads if (key := f"{problem}/{name}/{head}") in cells}
        found.add_row(
            name, *(f"{value:.0f}/10" if head == "covered" else f"{value:.4f}" for head, value in values.items())
        )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print the tables; write measured.csv and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="VLMOP2 with 10 runs of 300 steps, not 40 of 1,000")
    parser.add_argument("--out", type=Path, help="folder for measured.csv and the picture (needs matplotlib)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    console = Console()
    began = time.perf_counter()
    with Progress(console=console, transient=True) as progress:
        paths, cells = run(options.quick, progress)
    console.print(f"{time.perf_counter() - began:.0f} s", highlight=False)
    for problem in ("vlmop2", *QUADRATICS):
        console.print(table(cells, problem, list(SWEEPS if problem == "vlmop2" else DESCENTS)))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        split = {tuple(cell.split("/")): value for cell, value in cells.items()}
        write_measured(options.out / "measured.csv", ("problem", "method"), split)
        draw(paths, AIM, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
