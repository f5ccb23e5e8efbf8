"""All measures of switching of one run, from its trace."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mtl.functional.switch_affinity import conflict, dominance, first_order_affinity, lookahead_affinity
from mtl.functional.switch_cost import (
    Estimate,
    Return,
    Samples,
    backward_transfer,
    estimate,
    forgetting,
    forward_transfer,
    interference,
    median_recovery,
    realised_affinity,
    returns,
    switch_costs,
)
from mtl.functional.switch_trace import Trace
from mtl.functional.switch_visits import dwell, exposure, switch_rate

Estimates = Mapping[tuple[int, int], Estimate]


@dataclass(frozen=True)
class Conflict:
    """T x T over the gradient probes: mean cosine, share of probes in which it is negative, magnitude similarity."""

    cosine: Tensor
    negative: Tensor
    similarity: Tensor


@dataclass(frozen=True)
class Summary:
    """The measures, each defined where it is computed (`mtl.functional.switch_*`). Matrices go from row to column.

    Args:
        returns: every measured return to a task.
        cost: C_ij, loss of j on coming back to it from i over its loss when it was left.
        relative: the same over the loss when it was left.
        interference: I_ij, change of j's loss by a visit of i.
        realised: proximal affinity of whole visits.
        stale: part of a switch's first step that the first moment brings along: what it does to the task's loss.
        recovery: median steps to the old loss, for each pair.
        recovered: share of returns that got there while they were watched.
        lookahead: TAG's affinity, mean over the gradient probes.
        first_order: its first-order part, from the same gradients.
        free: the same from the Gramians that the weighting took in training; nan where it took none.
        conflicts: of `all` shared parameters, each layer, prompt parameters.
        dominance: T shares of the squared updates.
        forgetting: T.
        dwell: T mean steps of a spell.
        throughput: T ratios, seconds of a visit's first step over those of its other steps (geometric means).
        exposure: share of rows seen over share of training rows.
        realised_rows: rows seen over rows planned, as shares.
    """

    trace: Trace
    returns: list[Return]
    cost: Estimates
    relative: Estimates
    interference: Estimates
    realised: Estimates
    stale: Estimates
    recovery: Mapping[tuple[int, int], float]
    recovered: Mapping[tuple[int, int], float]
    lookahead: Tensor
    first_order: Tensor
    free: Tensor
    conflicts: Mapping[str, Conflict]
    dominance: Tensor
    forgetting: list[float]
    backward_transfer: float
    forward_transfer: float
    dwell: list[float]
    switch_rate: float
    throughput: list[float]
    exposure: Mapping[str, float] = field(default_factory=dict)
    realised_rows: Mapping[str, float] = field(default_factory=dict)


def summarise(trace: Trace) -> Summary:
    """All measures of a run."""
    T, visited, losses = len(trace.tasks), trace.visits, trace.losses
    back = list(returns(visited, losses))
    pairs: dict[tuple[int, int], list[Return]] = defaultdict(list)
    for found in back:
        for source in found.sources:
            pairs[source, found.task].append(found)
    seen = [probe for probe in trace.gradients if probe.gramians]
    count = torch.tensor(trace.free["count"], dtype=torch.float64)
    free = torch.tensor(trace.free["affinity"], dtype=torch.float64) / torch.where(count == 0, torch.nan, count)
    lookahead = [lookahead_affinity(_tensor(probe.losses), _tensor(probe.after)) for probe in seen]
    first_order = [first_order_affinity(_tensor(probe.pulls), _tensor(probe.losses), 1.0) for probe in seen]
    return Summary(
        trace=trace,
        returns=back,
        cost=_estimates(switch_costs(back)),
        relative=_estimates(switch_costs(back, relative=True)),
        interference=_estimates(interference(visited, losses, T)),
        realised=_estimates(realised_affinity(visited, losses, T)),
        stale=_estimates(stale_costs(trace)),
        recovery={pair: median_recovery(part) for pair, part in pairs.items()},
        recovered={pair: sum(one.recovery is not None for one in part) / len(part) for pair, part in pairs.items()},
        lookahead=_mean(lookahead, T),
        first_order=_mean(first_order, T),
        free=free,
        conflicts=conflicts(trace),
        dominance=_dominance(trace),
        forgetting=[forgetting(visited, losses, task) for task in range(T)],
        backward_transfer=backward_transfer(visited, losses, T),
        forward_transfer=forward_transfer(visited, losses, T),
        dwell=[dwell(visited, task) for task in range(T)],
        switch_rate=switch_rate(visited),
        throughput=[_ratio(first, within) for first, within in zip(trace.first, trace.within, strict=True)],
        exposure=exposure(trace.rows, trace.sizes) if trace.rows else {},
        realised_rows=exposure(trace.rows, trace.planned) if trace.rows else {},
    )


def stale_costs(trace: Trace) -> Samples:
    """O_ij, optimiser-state cost of a switch i -> j (ours): L_j(theta + s) - L_j(theta) before j's first step.

    s is what the first moment alone brings to that step (see `stale_adam`), in the shared parameters. Positive: the
    momentum that i left works against j.
    """
    before = {visit.start: earlier.tasks for earlier, visit in zip(trace.visits, trace.visits[1:], strict=False)}
    samples: Samples = defaultdict(list)
    for step, task, change in trace.stale:
        for source in before[int(step)]:
            samples[source, int(task)].append(change)
    return dict(samples)


def conflicts(trace: Trace) -> dict[str, Conflict]:
    """Conflict at each place where gradients were compared. A probe in which a gradient is zero is left out."""
    found: dict[str, Conflict] = {}
    for place in dict.fromkeys(place for probe in trace.gradients for place in probe.gramians):
        both = [conflict(_tensor(probe.gramians[place])) for probe in trace.gradients if place in probe.gramians]
        cosines = torch.stack([cosine for cosine, _ in both])
        there = cosines.isfinite().sum(0)
        share = (cosines < 0).sum(0) / torch.where(there == 0, torch.nan, there)
        found[place] = Conflict(cosines.nanmean(0), share, torch.stack([similar for _, similar in both]).nanmean(0))
    return found


def _dominance(trace: Trace) -> Tensor:
    """Mean squares of the probes times the steps that had the task: whose squared updates add up to how much."""
    known = [_tensor(probe.squares) for probe in trace.gradients if not any(map(math.isnan, probe.squares))]
    had = [
        float(sum(visit.end - visit.start for visit in trace.visits if task in visit.tasks))
        for task in range(len(trace.tasks))
    ]
    return dominance(_mean([part[None] for part in known], len(trace.tasks))[0] * _tensor(had))


def _mean(matrices: list[Tensor], num_tasks: int) -> Tensor:
    return torch.stack(matrices).nanmean(0) if matrices else torch.full((num_tasks, num_tasks), torch.nan).double()


def _estimates(samples: Samples) -> dict[tuple[int, int], Estimate]:
    return {pair: estimate(values) for pair, values in sorted(samples.items())}


def _ratio(first: list[float], within: list[float]) -> float:
    if not first[0] or not within[0]:
        return math.nan
    return math.exp(first[1] / first[0] - within[1] / within[0])


def _tensor(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
