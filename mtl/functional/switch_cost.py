"""What a switch costs, from a series of probe losses: cost, interference, recovery, forgetting, transfer.

L_j(s) is the loss of task j on its probe rows after s steps; it need not be measured everywhere (nan, or no entry).
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch

from mtl.functional.switch_visits import Visit

Losses = Mapping[int, Sequence[float]]
"""Steps done -> T probe losses."""
Samples = dict[tuple[int, int], list[float]]
"""(from task, to task) -> one number a switch or visit."""


class Return(NamedTuple):
    """Task `task` is trained again from step `arrived` on, for the first time since step `left`.

    `sources` are the tasks of the visit before, `before` and `after` are L_j(left) and L_j(arrived). `recovery` is the
    number of steps of the new visit until a measured L_j is at most `before`: 0 where `after` is, `None` where no
    measurement of the visit is (`watched` steps were looked at).
    """

    task: int
    sources: tuple[int, ...]
    left: int
    arrived: int
    before: float
    after: float
    recovery: int | None
    watched: int

    @property
    def cost(self) -> float:
        """The immediate cost of the switch (ours): L_j(arrived) - L_j(left). Positive: being away did harm."""
        return self.after - self.before


def loss(losses: Losses, step: int, task: int) -> float:
    """L_task(step), nan where it was not measured."""
    return losses[step][task] if step in losses else math.nan


def measured(visited: Iterable[Visit], losses: Losses) -> list[Visit]:
    """The visits at whose start and end something was measured."""
    return [visit for visit in visited if visit.start in losses and visit.end in losses]


def returns(visited: Sequence[Visit], losses: Losses) -> Iterator[Return]:
    """Every return to a task whose loss was measured when it was left and when it was taken up again."""
    left: dict[int, int] = {}
    looked_at = sorted(losses)
    for earlier, visit in zip((None, *visited), visited, strict=False):
        if earlier is not None and visit.start in losses:
            there = looked_at[bisect_left(looked_at, visit.start) : bisect_right(looked_at, visit.end)]
            for task in visit.tasks:
                if task in left and left[task] in losses and task not in earlier.tasks:
                    found = _return(visit, task, earlier.tasks, left[task], losses, there)
                    if math.isfinite(found.cost):
                        yield found
        left |= dict.fromkeys(visit.tasks, visit.end)


def _return(
    visit: Visit, task: int, sources: tuple[int, ...], left: int, losses: Losses, there: Sequence[int]
) -> Return:
    before, after = loss(losses, left, task), loss(losses, visit.start, task)
    looked = [step for step in there if math.isfinite(losses[step][task])]
    recovery = next((s - visit.start for s in looked if losses[s][task] <= before), None)
    watched = looked[-1] - visit.start if looked else 0
    return Return(task, sources, left, visit.start, before, after, recovery, watched)


def switch_costs(found: Sequence[Return], *, relative: bool = False) -> Samples:
    """C_ij, immediate cost of a switch i -> j (ours): one sample for each return to j right after a visit of i.

        C_ij = mean over switches of  L_j(arrived) - L_j(left)

    L_j(left) is the loss at the end of j's own last visit, L_j(arrived) that before the first step of the new one. All
    that happened in between counts, also what tasks between j's last visit and i did; `interference` tells them apart.
    Where the visit before had several tasks, each of them gets the sample.

    Args:
        found: the returns of a run.
        relative: divide by L_j(left).
    """
    samples: Samples = defaultdict(list)
    for back in found:
        for source in back.sources:
            samples[source, back.task].append(back.cost / back.before if relative else back.cost)
    return dict(samples)


def interference(visited: Sequence[Visit], losses: Losses, num_tasks: int) -> Samples:
    """I_ij, what a visit of i does to j (ours): L_j(end of the visit) - L_j(its start), j not in the visit.

    Costs are sums of it: L_j(arrived) - L_j(left) is the sum over the visits between. With two tasks I = C. On the
    diagonal: what a visit of i alone does to i itself.
    """
    samples: Samples = defaultdict(list)
    for visit in measured(visited, losses):
        for source in visit.tasks:
            for task in range(num_tasks):
                if (task not in visit.tasks) or visit.tasks == (task,):
                    change = loss(losses, visit.end, task) - loss(losses, visit.start, task)
                    if math.isfinite(change):
                        samples[source, task].append(change)
    return dict(samples)


def realised_affinity(visited: Sequence[Visit], losses: Losses, num_tasks: int) -> Samples:
    """A_ij = (1 - L_j(end) / L_j(start)) / |tasks of the visit|: proximal inter-task affinity, with real updates.

    As in selective task group updates (Jeong and Yoon 2025, from their code), where a group's update takes the place of
    the visit; there the training loss is read and averaged exponentially, here the probe loss, sample by sample.
    Positive: the visit of i helped j. j may be in the visit.
    """
    samples: Samples = defaultdict(list)
    for visit in measured(visited, losses):
        for source in visit.tasks:
            for task in range(num_tasks):
                start, end = loss(losses, visit.start, task), loss(losses, visit.end, task)
                if math.isfinite(start + end) and start != 0:
                    samples[source, task].append((1 - end / start) / len(visit.tasks))
    return dict(samples)


def forgetting(visited: Sequence[Visit], losses: Losses, task: int) -> float:
    """f_j = L_j(end of the run) - min_k L_j(end of visit k), k over the visits that had j or came after, but the last.

    Chaudhry et al. 2018: f_j = max_k a_kj - a_Kj for a score a after k of K tasks; a loss is a score negated. nan where
    the run ends with j, as there, or where nothing was measured.
    """
    if not visited or task in visited[-1].tasks:
        return math.nan
    first = next((place for place, visit in enumerate(visited) if task in visit.tasks), len(visited))
    known = [value for visit in visited[first:-1] if math.isfinite(value := loss(losses, visit.end, task))]
    return loss(losses, visited[-1].end, task) - min(known) if known else math.nan


def backward_transfer(visited: Sequence[Visit], losses: Losses, num_tasks: int) -> float:
    """BWT = mean over tasks j, less those of the last visit, of  L_j(end of j's last visit) - L_j(end of the run).

    Lopez-Paz and Ranzato 2017 (GEM): BWT = 1/(T-1) sum_{i<T} R_Ti - R_ii for tasks trained once each, in order; a loss
    is a score negated, and a task that is visited several times counts from its last. Negative: forgetting.
    """
    last: dict[int, int] = {}
    for visit in visited:
        last |= dict.fromkeys(visit.tasks, visit.end)
    gone = [task for task in range(num_tasks) if task in last and task not in visited[-1].tasks]
    return _mean([loss(losses, last[task], task) - loss(losses, visited[-1].end, task) for task in gone])


def forward_transfer(visited: Sequence[Visit], losses: Losses, num_tasks: int) -> float:
    """FWT = mean over tasks j, less those of the first visit, of  L_j(start of run) - L_j(start of j's first visit).

    Lopez-Paz and Ranzato 2017 (GEM): FWT = 1/(T-1) sum_{i>1} R_{i-1,i} - b_i, b the score at the start.
    """
    first: dict[int, int] = {}
    for visit in reversed(visited):
        first |= dict.fromkeys(visit.tasks, visit.start)
    later = [task for task in range(num_tasks) if first.get(task, 0) > visited[0].start]
    return _mean([loss(losses, visited[0].start, task) - loss(losses, first[task], task) for task in later])


def _mean(values: Sequence[float]) -> float:
    """Nan where there is none, or where one is missing."""
    return sum(values) / len(values) if values else math.nan


ENOUGH = 6
"""Samples below which percentiles of resampled means say nothing but the range."""


class Estimate(NamedTuple):
    """Mean of n samples and a 95 % percentile bootstrap interval (nan below `ENOUGH` samples)."""

    mean: float
    low: float
    high: float
    n: int


def estimate(samples: Sequence[float], resamples: int = 2000) -> Estimate:
    """Mean and interval (Efron 1979, percentiles), with random numbers of its own. Samples of one run follow each
    other in time: the interval says how they scatter, not how another seed would come out.
    """
    values = torch.tensor(samples, dtype=torch.float64)
    n = len(values)
    if n < ENOUGH:
        return Estimate(float(values.mean()), math.nan, math.nan, n)
    drawn = torch.randint(n, (resamples, n), generator=torch.Generator().manual_seed(0))
    low, high = values[drawn].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Estimate(float(values.mean()), low, high, n)


def median_recovery(found: Sequence[Return]) -> float:
    """Median recovery time in steps (ours). A return that did not recover while it was watched counts as longer than
    all others; inf where that is the median; nan for none.
    """
    times = sorted(math.inf if back.recovery is None else float(back.recovery) for back in found)
    if not times:
        return math.nan
    return (times[(len(times) - 1) // 2] + times[len(times) // 2]) / 2
