"""Does GradNorm beat equal weights on its own synthetic tasks? `mtl reproduce gradnorm_toy`."""

import argparse
import csv
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mtl.reporting.measured import over_seeds, write_measured
from mtl.reporting.table import Cell
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.equal import Equal
from mtl.strategies.weighting.fixed import Fixed
from mtl.strategies.weighting.gradnorm import GradNorm
from mtl.strategies.weighting.uncertainty import Uncertainty

from .picture import draw
from .regression import OUTPUTS, Networks, make_tasks, slopes

SCALES = {"2": (1.0, 100.0), "10": tuple(100 ** (task / 9) for task in range(10))}
"""sigma_i by the number of tasks; the paper's ten could not be checked, ours are spread evenly over two decades."""

METHODS: dict[str, Callable[[dict[str, str], Tensor], Weighting]] = {
    "equal": lambda tasks, scales: Equal(tasks),
    "uncertainty": lambda tasks, scales: Uncertainty(tasks),
    "gradnorm": lambda tasks, scales: GradNorm(tasks, alpha=0.12),
    "gradnorm_slow": lambda tasks, scales: GradNorm(tasks, alpha=0.12, learning_rate=0.001),
    "oracle": lambda tasks, scales: Fixed(tasks, (scales**-2).tolist()),
}
"""GradNorm with 0.025 and 0.001 as its weights' learning rate; the oracle knows the scales: w_i = 1/sigma_i^2."""


class Protocol(NamedTuple):
    """How long, on how much, from how many seeds."""

    steps: int = 2000
    rows: int = 32
    seeds: int = 10
    rate: float = 1e-3
    every: int = 100
    tested: int = 1000


QUICK = Protocol(steps=60, rows=16, seeds=2, every=20, tested=100)


class Point(NamedTuple):
    """Where a run stands after `step` steps: the mean of L_i / sigma_i^2 on fresh rows, and its weights."""

    noise: str
    tasks: str
    method: str
    seed: int
    step: int
    score: float
    weights: str


def learn(noise: str, tasks: str, protocol: Protocol) -> list[Point]:
    """All methods and seeds of one problem together, on the same rows; Adam for the networks."""
    scales = torch.tensor(SCALES[tasks])
    problem = make_tasks(protocol.seeds, scales, variance=noise == "variance")
    names = {f"task_{task}": "regression" for task in range(len(scales))}
    weightings = [make(names, scales) for make in METHODS.values() for _ in range(protocol.seeds)]
    copies = len(METHODS)
    networks = Networks.make(protocol.seeds, len(scales), copies)
    optimizer = torch.optim.Adam([*networks.trunk, networks.heads], lr=protocol.rate, fused=True)
    learned = [parameter for weighting in weightings for parameter in weighting.parameters()]
    moves = torch.optim.Adam(learned, lr=next(w.learning_rate for w in weightings if w.learning_rate), foreach=True)
    generator = torch.Generator().manual_seed(2000)
    tested = problem.draw(protocol.tested, torch.Generator().manual_seed(3000))
    present = torch.arange(len(scales))
    points = []
    for step in range(protocol.steps + 1):
        x, targets = problem.draw(protocol.rows, generator)
        features, below = networks.features(x.repeat(copies, 1, 1))
        found = slopes(networks, features.detach(), below.detach(), targets.repeat(copies, 1, 1, 1))
        grams = torch.diag_embed(found.norms.square())
        weights, penalties = [], []
        for weighting, loss, gram in zip(weightings, found.losses, grams, strict=True):
            signals = Signals(present, loss, step, protocol.steps, gramian=gram)
            weights.append(weighting(signals))
            penalties.append(weighting.penalty(signals))
        weights_RT = torch.stack(weights)
        if step % protocol.every == 0:
            scores = score(networks, tested, scales, copies)
            points += [
                Point(noise, tasks, method, seed, step, scores[run].item(), " ".join(f"{w:.4g}" for w in weights[run]))
                for run, (method, seed) in enumerate((m, s) for m in METHODS for s in range(protocol.seeds))
            ]
        moves.zero_grad()
        ((weights_RT * found.losses).sum() + torch.stack(penalties).sum()).backward()
        moves.step()
        used = weights_RT.detach()[:, :, None, None]
        optimizer.zero_grad()
        features.backward((used * found.features).sum(1))
        networks.heads.grad = found.heads * weights_RT.detach().repeat_interleave(OUTPUTS, 1)[:, None]
        optimizer.step()
    return points


@torch.no_grad()
def score(networks: Networks, tested: tuple[Tensor, Tensor], scales: Tensor, copies: int) -> Tensor:
    """Mean over the tasks of L_i / sigma_i^2 on rows that no step has seen, of each run."""
    x, targets = tested
    scores = []
    for first in range(0, len(x) * copies, len(x)):
        part = networks.part(slice(first, first + len(x)))
        losses = part.errors(part.features(x)[0], targets).square().mean((1, 3))
        scores.append((losses / scales.square()).mean(-1))
    return torch.cat(scores)


def points_of(path: Path) -> list[Point]:
    """The points of the jobs that a file holds whole; a job is written at once when it ends."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Point(
                row["noise"],
                row["tasks"],
                row["method"],
                int(row["seed"]),
                int(row["step"]),
                float(row["score"]),
                row["weights"],
            )
            for row in csv.DictReader(file)
        ]


def measure(points: Sequence[Point], last: int) -> dict[tuple[str, ...], float | Cell]:
    """Cells of each problem and method after the last step.

    `score`; `minus_equal`, its paired difference from equal weights, seed by seed; `against_equal`, -1 where the 95 %
    t interval of that difference lies below zero (better), 1 above, else 0; `largest`, the share of the weights that
    the task of the largest scale has.
    """
    ends = [point for point in points if point.step == last]
    cells: dict[tuple[str, ...], float | Cell] = {}
    for noise, tasks, method in dict.fromkeys((point.noise, point.tasks, point.method) for point in ends):
        own = {p.seed: p for p in ends if (p.noise, p.tasks, p.method) == (noise, tasks, method)}
        equal = {p.seed: p.score for p in ends if (p.noise, p.tasks, p.method) == (noise, tasks, "equal")}
        row = (noise, tasks, method)
        cells[*row, "score"] = over_seeds({seed: point.score for seed, point in own.items()})
        shares = {seed: [float(w) for w in point.weights.split()] for seed, point in own.items()}
        cells[*row, "largest"] = over_seeds({seed: w[-1] / sum(w) for seed, w in shares.items()})
        if method != "equal":
            less = over_seeds({seed: point.score - equal[seed] for seed, point in own.items()})
            cells[*row, "minus_equal"] = less
            cells[*row, "against_equal"] = sign(less)
    return cells


def sign(difference: Cell) -> float:
    """Of a mean whose 95 % t interval does not hold zero; else 0."""
    from scipy.stats import t

    width = t.ppf(0.975, difference.n - 1) * (difference.error or 0.0)
    mean = difference.mean or 0.0
    return 0.0 if abs(mean) <= width else math.copysign(1.0, mean)


def main(arguments: Sequence[str] | None = None) -> int:
    """Learn what is missing, write `runs.csv` (all points), `measured.csv` and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="60 steps of 2 seeds")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is measured")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    protocol = QUICK if options.quick else Protocol()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "runs.csv"
    points = points_of(path)
    for noise in ("deviation", "variance"):
        for tasks in SCALES:
            if any((point.noise, point.tasks) == (noise, tasks) for point in points):
                continue
            began = time.perf_counter()
            points += learn(noise, tasks, protocol)
            whole = path.with_suffix(".part")
            with whole.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([Point._fields, *points])
            whole.replace(path)
            print(f"noise as {noise}, {tasks} tasks: {time.perf_counter() - began:.0f} s", flush=True)
    write_measured(options.out / "measured.csv", ("noise", "tasks", "method"), measure(points, protocol.steps))
    draw(points, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
