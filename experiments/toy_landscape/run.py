"""Which method reaches the Pareto set of the landscape from which start: `mtl reproduce toy_landscape`."""

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from mtl.reporting.measured import write_measured

from . import two_tasks
from .landscape import DRAWN_X2, STARTS, landscape
from .picture import draw

EVERY = 100
"""Steps between two recorded points."""


@dataclass(frozen=True)
class Method:
    """How a method's weights are made (from the scale of each start and CAGrad's c), and where the papers clip.

    FairGrad's code doubles the weights and clips at 1, which to Adam is to clip at 1/2.
    """

    make: Callable[[Tensor, float], two_tasks.Weigh]
    clip: float = math.inf


METHODS = {
    "equal": Method(lambda scale, c: two_tasks.equal),
    "rlw": Method(lambda scale, c: two_tasks.RandomWeights()),
    "mgda": Method(lambda scale, c: two_tasks.mgda),
    "pcgrad": Method(lambda scale, c: two_tasks.pcgrad),
    "gradvac": Method(lambda scale, c: two_tasks.GradVac()),
    "cagrad": Method(lambda scale, c: two_tasks.cagrad(c)),
    "imtl_g": Method(lambda scale, c: two_tasks.imtl_g),
    "conflict_free": Method(lambda scale, c: two_tasks.conflict_free),
    "nash_mtl": Method(lambda scale, c: two_tasks.nash_mtl, clip=1.0),
    "nash_mtl_fallback": Method(lambda scale, c: two_tasks.nash_mtl_fallback, clip=1.0),
    "fairgrad": Method(lambda scale, c: two_tasks.fairgrad, clip=0.5),
    "aligned_mtl": Method(lambda scale, c: two_tasks.aligned_mtl),
    "dualproj": Method(lambda scale, c: two_tasks.dualproj),
    "famo": Method(lambda scale, c: two_tasks.Famo(-21 * torch.stack((scale, torch.ones_like(scale)))), clip=1.0),
}


class Protocol(NamedTuple):
    """Scale of the first loss, starts, steps at which the points are read, CAGrad's c, and methods (all if none)."""

    scale: float
    starts: str
    marks: tuple[int, ...]
    c: float = 0.4
    methods: tuple[str, ...] = tuple(METHODS)


PROTOCOLS = {
    "s0.1": Protocol(0.1, "abcde", (35_000, 50_000)),
    "s1": Protocol(1.0, "abcde", (50_000,)),
    "cagrad": Protocol(1.0, "afc", (100_000,), c=0.5, methods=("equal", "mgda", "pcgrad", "cagrad")),
}
"""Nash-MTL's and FAMO's (35k and 50k steps of one run), the same with equal scales, and CAGrad's own."""
POINTS = STARTS | {"f": (-8.5, -5.0)}
QUICK = ("equal", "mgda", "cagrad", "nash_mtl", "famo")


@torch.inference_mode()
def descend(
    names: Sequence[str], protocols: Sequence[Protocol], tick: Callable[[int], None] = lambda steps: None
) -> Tensor:
    """Points of each method (M) from each start (S) every 100 steps, K x M x S x 2: Adam at 0.001, float32.

    All methods and all starts are one tensor with one Adam, which works entry by entry; weights are made in float64
    method by method, a batch of starts at a time.
    """
    starts = [POINTS[start] for protocol in protocols for start in protocol.starts]
    scale = torch.tensor([protocol.scale for protocol in protocols for _ in protocol.starts])
    (c,) = {protocol.c for protocol in protocols}
    weighs = [METHODS[name].make(scale, c) for name in names]
    clip = torch.tensor([METHODS[name].clip for name in names])[:, None, None]
    x = torch.tensor(starts).repeat(len(names), 1, 1)
    optimizer = torch.optim.Adam([x], lr=1e-3, fused=True)
    points = [x.clone()]
    for step in range(1, max(protocols[0].marks) + 1):
        losses, slopes = landscape(x, scale)
        slopes = slopes.double()
        first, second = slopes
        grams = ((first * first).sum(-1), (first * second).sum(-1), (second * second).sum(-1))
        rows = zip(weighs, losses.unbind(1), *(gram.unbind(0) for gram in grams), strict=True)
        weights = torch.stack([weigh(loss, two_tasks.Gramian(*gram)) for weigh, loss, *gram in rows], 1)
        weights = torch.where(weights.isfinite().all(0), weights, 1.0)
        slope = (weights[..., None] * slopes).sum(0).float()
        norm = slope.norm(dim=-1, keepdim=True)
        x.grad = slope * (clip / (norm + 1e-6)).clamp(max=1)
        optimizer.step()
        if step % EVERY == 0:
            points.append(x.clone())
            tick(EVERY)
    return torch.stack(points)


def reached(points: Tensor) -> Tensor:
    """Whether a point lies on the front: within 0.15 of the height at which the papers draw it."""
    return (points[..., 1] - DRAWN_X2).abs() < 0.15


def run(
    names: Sequence[str], asked: Mapping[str, Protocol], progress: Progress
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Paths (K x S x 2) by `protocol/method`, and the measured cells."""
    paths: dict[str, Tensor] = {}
    cells: dict[str, float] = {}
    together: dict[tuple[int, float, tuple[str, ...]], list[str]] = {}
    for key, protocol in asked.items():
        chosen = tuple(name for name in names if name in protocol.methods)
        if chosen:
            together.setdefault((protocol.marks[-1], protocol.c, chosen), []).append(key)
    for (steps, _, chosen), keys in together.items():
        protocols = [asked[key] for key in keys]
        bar = progress.add_task(f"{', '.join(keys)}: {len(chosen)} methods", total=steps)
        points = descend(chosen, protocols, lambda done, bar=bar: progress.advance(bar, done))
        first = 0
        for key, protocol in zip(keys, protocols, strict=True):
            part = points[:, :, first : first + len(protocol.starts)]
            first += len(protocol.starts)
            for row, name in enumerate(chosen):
                paths[f"{key}/{name}"] = part[:, row]
                for mark in protocol.marks:
                    ends, prefix = part[mark // EVERY, row], f"{key}/{mark // 1000}k/{name}"
                    cells[f"{prefix}/reached"] = float(reached(ends).sum())
                    for start, end in zip(protocol.starts, ends.tolist(), strict=True):
                        cells[f"{prefix}/x1_{start}"], cells[f"{prefix}/x2_{start}"] = end
    return paths, cells


def table(cells: dict[str, float], protocol: str, mark: int) -> Table:
    """A row a method: starts that reached the front, and the end point from each (x2 where it is not on it)."""
    starts = PROTOCOLS[protocol].starts
    heads = [f"{start} ({POINTS[start][0]:g}, {POINTS[start][1]:g})" for start in starts]
    found = Table("method", "front", *heads, title=f"{protocol}, {mark // 1000}k steps: x1, and x2 off the front")
    for name in METHODS:
        prefix = f"{protocol}/{mark // 1000}k/{name}"
        if f"{prefix}/reached" not in cells:
            continue
        ends = []
        for start in starts:
            end = torch.tensor((cells[f"{prefix}/x1_{start}"], cells[f"{prefix}/x2_{start}"]))
            ends.append(f"{end[0]:.2f}" if reached(end) else f"({end[0]:.2f}, {end[1]:.2f})")
        found.add_row(name, f"{cells[f'{prefix}/reached']:.0f}/{len(starts)}", *ends)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print the tables; write measured.csv and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"4,000 steps at s = 0.1 of {', '.join(QUICK)}")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--out", type=Path, help="folder for measured.csv and the picture (needs matplotlib)")
    options = parser.parse_args(arguments)
    names = [name for name in METHODS if name in (options.methods or (QUICK if options.quick else METHODS))]
    torch.set_num_threads(1)
    asked = {"s0.1": PROTOCOLS["s0.1"]._replace(marks=(4_000,))} if options.quick else PROTOCOLS
    console = Console()
    began = time.perf_counter()
    with Progress(console=console, transient=True) as progress:
        paths, cells = run(names, asked, progress)
    console.print(f"{time.perf_counter() - began:.0f} s", highlight=False)
    for key, protocol in asked.items():
        for mark in protocol.marks:
            console.print(table(cells, key, mark))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        split = {tuple(cell.split("/")): value for cell, value in cells.items()}
        write_measured(options.out / "measured.csv", ("protocol", "steps", "method"), split)
        draw(paths, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
