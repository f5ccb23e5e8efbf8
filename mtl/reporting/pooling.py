"""The runs of one cell: mean and standard error over seeds, and what is wrong with them."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from mtl.functional.paired import bootstrap_interval
from mtl.reporting.baselines import Baselines, Gain, is_baseline
from mtl.reporting.columns import Record, tasks_of
from mtl.reporting.table import Cell, Column


class Sample(NamedTuple):
    """One run's value."""

    seed: int
    value: float
    run: Record


def seed_of(record: Record) -> int:
    """The seed of a run."""
    return int(record["tags.mtl.seed"])


def pool(samples: Sequence[Sample], expected: Iterable[int] = (), spread: str = "se") -> Cell:
    """Mean and standard error (`interval`: and its bootstrap interval) of one value a seed; no seed may stand twice."""
    samples = sorted(samples, key=lambda sample: sample.seed)
    seeds = [sample.seed for sample in samples]
    if again := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        which = "seed " + ", ".join(f"{seed} {_times(seeds.count(seed))}" for seed in again)
        return Cell(problem=which, notes=(f"{which} ({_whose([s.run for s in samples if s.seed in again])})",))
    if not samples:
        return Cell()
    notes = [f"{_seeds(nan)}: nan or not recorded" if (nan := _nans(samples)) else ""]
    missing = sorted(set(expected).difference(seeds))
    notes.append(f"{_seeds(missing)} {'is' if len(missing) == 1 else 'are'} missing" if missing else "")
    values = [sample.value for sample in samples]
    finite = all(map(math.isfinite, values))
    mean = statistics.fmean(values) if finite else sum(values) / len(values)
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 and finite else None
    interval = bootstrap_interval(values) if spread == "interval" else None
    kept = tuple(filter(None, notes))
    return Cell(mean, error, len(values), tuple(seeds), notes=kept, interval=interval)


def samples_of(group: Iterable[Record], column: Column) -> list[Sample]:
    """A recorded metric of the runs that train its task."""
    having = (record for record in group if column.task is None or column.task in tasks_of(record))
    name = f"metrics.{column.key}"
    return [Sample(seed_of(run), float(run.get(name, math.nan)), run) for run in having]


def gain_cell(
    group: Iterable[Record], baselines: Baselines, kind: str, expected: Iterable[int], spread: str = "se"
) -> Cell:
    """Delta_m over the runs that have all their baselines; the single-task runs themselves have none."""
    gains = [(record, baselines.gain(record, kind)) for record in group if not is_baseline(record)]
    if twice := sorted({task for _, gain in gains for task in gain.twice}):
        return Cell(problem="baseline twice", notes=(f"more than one single-task run of {' and of '.join(twice)}",))
    samples = [Sample(seed_of(record), gain.value, record) for record, gain in gains if gain.value is not None]
    lacking = [(record, gain) for record, gain in gains if gain.value is None]
    cell = pool(samples, set(expected).difference(seed_of(record) for record, _ in lacking), spread)
    return replace(cell, notes=cell.notes + tuple(_lacks(lacking)))


def _lacks(lacking: Sequence[tuple[Record, Gain]]) -> Iterable[str]:
    """What to run to get the baselines."""
    if missing := sorted({task for _, gain in lacking for task in gain.missing}):
        without = [record for record, gain in lacking if gain.missing]
        seeds = sorted({seed_of(record) for record in without})
        prompts = sorted({str(record.get("tags.mtl.prompt")) for record in without})
        yield (
            f"no single-task run of {', '.join(missing)} with {_seeds(seeds)}: mtl train -m switching=single "
            f"switching.task={','.join(missing)} prompt={','.join(prompts)} seed={','.join(map(str, seeds))} "
            "and everything else as in these runs"
        )
    if zero := sorted({task for _, gain in lacking for task in gain.zero}):
        yield f"the single-task run of {', '.join(zero)} scores 0, so there is no relative difference"


def _whose(runs: Sequence[Record]) -> str:
    """The runs, and the parameters that tell them apart."""
    names = [str(name) for name in runs[0] if str(name).startswith("params.")]
    differ = [name.removeprefix("params.") for name in names if len({str(run[name]) for run in runs}) > 1]
    apart = f"; they differ in {', '.join(differ[:3])}, which is not among the rows" if differ else ""
    return f"runs {', '.join(str(run['run_id']) for run in runs)}{apart}"


def _nans(samples: Iterable[Sample]) -> list[int]:
    return [sample.seed for sample in samples if math.isnan(sample.value)]


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"
