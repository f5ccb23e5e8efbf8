"""The probe's measures under the names of the record."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, permutations

import torch
from torch import Tensor

from mtl.functional.switch_affinity import conflict, lookahead_affinity
from mtl.functional.switch_summary import Summary
from mtl.functional.switch_trace import GradientProbe


def probe_points(tasks: Sequence[str], probe: GradientProbe) -> dict[str, float]:
    """`probe/<a>/<b>/affinity` (TAG), `probe/<a>/<b>/cosine`, and `probe/<layer>/<a>/<b>/cosine`, of one probe."""
    after, losses = (torch.tensor(part, dtype=torch.float64) for part in (probe.after, probe.losses))
    points = dict(_matrix("probe", "affinity", tasks, lookahead_affinity(losses, after)))
    for place, gramian in probe.gramians.items():
        cosines, _ = conflict(torch.tensor(gramian, dtype=torch.float64))
        prefix = "probe" if place == "all" else f"probe/{place}"
        for i, j in combinations(range(len(tasks)), 2):
            points[f"{prefix}/{tasks[i]}/{tasks[j]}/cosine"] = float(cosines[i, j])
    return _finite(points.items())


def summary_points(found: Summary) -> dict[str, float]:
    """Measures of the whole run: `switch/<from>/<to>/cost` and so on; what was not measured is left out."""
    tasks = found.trace.tasks
    points: dict[str, float] = {}
    pairs = {
        "cost": found.cost,
        "cost_relative": found.relative,
        "interference": found.interference,
        "affinity_realised": found.realised,
        "optimizer_cost": found.stale,
    }
    for name, estimates in pairs.items():
        points |= {f"switch/{tasks[i]}/{tasks[j]}/{name}": value.mean for (i, j), value in estimates.items()}
    for (i, j), steps in found.recovery.items():
        points[f"switch/{tasks[i]}/{tasks[j]}/recovery_steps"] = steps
        points[f"switch/{tasks[i]}/{tasks[j]}/recovered"] = found.recovered[i, j]
    points |= dict(_matrix("switch", "affinity", tasks, found.lookahead))
    points |= dict(_matrix("switch", "affinity_proximal", tasks, found.free))
    by_task = {"forgetting": found.forgetting, "dwell": found.dwell, "dominance": found.dominance.tolist()}
    for name, values in by_task.items():
        points |= {f"switch/{task}/{name}": value for task, value in zip(tasks, values, strict=True)}
    points |= {f"switch/{task}/exposure": value for task, value in found.exposure.items()}
    points |= {f"time/{task}/first_step": value for task, value in zip(tasks, found.throughput, strict=True)}
    points["switch/backward_transfer"] = found.backward_transfer
    points["switch/forward_transfer"] = found.forward_transfer
    points["switch/per_1000_steps"] = found.switch_rate
    points["probe/windows"] = float(found.trace.windows)
    points["probe/gradients"] = float(len(found.trace.gradients))
    points["time/probe_share"] = found.trace.share_of_time
    return _finite(points.items())


def _matrix(prefix: str, name: str, tasks: Sequence[str], values: Tensor) -> Iterator[tuple[str, float]]:
    for i, j in permutations(range(len(tasks)), 2):
        yield f"{prefix}/{tasks[i]}/{tasks[j]}/{name}", float(values[i, j])


def _finite(points: Iterable[tuple[str, float]]) -> dict[str, float]:
    return {name: value for name, value in points if not math.isnan(value)}
