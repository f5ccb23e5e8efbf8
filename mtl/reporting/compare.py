"""Every row of an experiment against a named baseline, seed by seed, with tests and their correction."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from mtl.errors import MtlError
from mtl.functional.friedman import Ranks, friedman
from mtl.functional.holm import holm
from mtl.functional.paired import bootstrap_interval, permutation_p, wilcoxon_p
from mtl.reporting.baselines import Baselines, is_baseline
from mtl.reporting.cells import grouped
from mtl.reporting.columns import Record, all_metrics, labels, primaries, resolve
from mtl.reporting.pooling import Sample, pool, samples_of, seed_of
from mtl.reporting.table import DELTA_M, Column
from mtl.reporting.usable import selection, shown, single_task

if TYPE_CHECKING:
    import pandas as pd

Names = tuple[str, ...]
Values = Mapping[int, float]
"""Seed to score."""


@dataclass(frozen=True)
class Comparison:
    """One row against its baseline in one column.

    Args:
        row: its names.
        column: what is compared.
        seeds: the pairs.
        unpaired: seeds that only one of the two has (or where a value is nan or infinite); they don't count.
        mean: of the row over the pairs.
        baseline: mean of the baseline over the pairs.
        difference: mean of the row less mean of the baseline.
        interval: 95 % bootstrap interval of the difference.
        record: pairs won, tied and lost by the row, in the better direction.
        permutation: p of the paired permutation test; nan where there is none.
        wilcoxon: p of Wilcoxon's signed-rank test.
        permutation_holm: corrected over the family.
        wilcoxon_holm: corrected over the family.
        problem: why there are no numbers.

    """

    row: Names
    column: Column
    seeds: tuple[int, ...] = ()
    unpaired: tuple[int, ...] = ()
    mean: float = nan
    baseline: float = nan
    difference: float = nan
    interval: tuple[float, float] | None = None
    record: tuple[int, int, int] = (0, 0, 0)
    permutation: float = nan
    wilcoxon: float = nan
    permutation_holm: float = nan
    wilcoxon_holm: float = nan
    problem: str = ""


@dataclass(frozen=True)
class Ranking:
    """Friedman's test of all rows: in one column over seeds, or in the means of all columns (`over`)."""

    over: str
    rows: tuple[Names, ...]
    ranks: Ranks


@dataclass(frozen=True)
class Comparisons:
    """All of them: what rows are named by, the baseline, and what a reader should know."""

    keys: Names
    chosen: Mapping[str, str]
    lines: tuple[Comparison, ...]
    rankings: tuple[Ranking, ...]
    left_out: str
    selection: str

    @property
    def family(self) -> int:
        """How many tests were made: Holm's correction is over all of them."""
        return sum(not np.isnan(line.permutation) for line in self.lines)

    def render(self, form: str = "text", *, percent: bool = True) -> str:
        """As `text`, `markdown`, `latex`, `csv` or `html`."""
        from mtl.reporting.comparison_layout import render

        return render(self, form, percent=percent)

    def __str__(self) -> str:
        return self.render()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.render("html")


def compare(
    runs: "pd.DataFrame",
    baseline: Mapping[str, str],
    by: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    baselines: "pd.DataFrame | None" = None,
) -> Comparisons:
    """Each row against the row that has the baseline's values and is otherwise the same, paired by seed.

    Args:
        runs: one row a run, as `mtl.runs` gives them.
        baseline: such as `{"weighting": "equal"}`; it names some of the rows' keys, or all for one common baseline.
        by: what names a row, as in a table; by default prompt, weighting and what the baseline names.
        metrics: columns as in a table (not `rank`); by default the primary metric of every task.
        baselines: where to look for the single-task runs of `delta_m`, if not among `runs`.

    """
    by = list(dict.fromkeys(by or ("prompt", "weighting", *baseline)))
    usable, left_out = shown(runs, by)
    records = usable.to_dict("records")
    names = [name.removeprefix("metrics.") for name in usable.columns if name.startswith("metrics.")]
    columns = resolve(records, metrics, names) if metrics else primaries(records)
    if bad := [column.label for column in columns if column.direction is None or column.key == "rank"]:
        raise MtlError(f"metric: '{bad[0]}' can't be compared: it has no better direction, or is no score of a run")
    groups = grouped(labels(usable, by), records)
    _require_baseline(baseline, by, groups)
    single = Baselines(single_task(runs if baselines is None else baselines), all_metrics(records, names))
    scores = {(row, column): _scores(groups[row], column, single) for row in groups for column in columns}
    of = {row: tuple(baseline.get(key, part) for key, part in zip(by, row, strict=True)) for row in groups}
    lines = [
        _comparison(row, column, scores[row, column], scores.get((of[row], column), "no run of the baseline"))
        for row in groups
        if row != of[row]
        for column in columns
    ]
    corrected = zip(holm([line.permutation for line in lines]), holm([line.wilcoxon for line in lines]), strict=True)
    lines = [replace(line, permutation_holm=p, wilcoxon_holm=q) for line, (p, q) in zip(lines, corrected, strict=True)]
    rankings = tuple(_rankings(list(groups), columns, scores))
    return Comparisons(tuple(by), dict(baseline), tuple(lines), rankings, left_out, selection(usable, by))


def _require_baseline(baseline: Mapping[str, str], by: Sequence[str], rows: Iterable[Names]) -> None:
    """The baseline names keys of the rows, and values that some run has."""
    if not baseline:
        raise MtlError("baseline: name at least one value, such as weighting=equal")
    rows = list(rows)
    for key, value in baseline.items():
        if key not in by:
            raise MtlError(f"baseline: '{key}' is not what the rows are named by ({', '.join(by)}); add it to --by")
        seen = list(dict.fromkeys(row[by.index(key)] for row in rows))
        if value not in seen:
            raise MtlError(f"baseline: no finished run has {key}={value}. There is: {', '.join(seen)}")
    places = {by.index(key): value for key, value in baseline.items()}
    matching = [row for row in rows if all(row[place] == value for place, value in places.items())]
    if not matching:
        raise MtlError(f"baseline: no finished run has {', '.join(f'{k}={v}' for k, v in baseline.items())} together")
    if len(matching) == len(rows):
        raise MtlError("baseline: every row is the baseline, so there is nothing to compare")


def _scores(group: Sequence[Record], column: Column, single: Baselines) -> Values | str:
    """Score by seed, or why there is none."""
    samples = samples_of(group, column)
    if column.key in DELTA_M:
        gains = [(record, single.gain(record, column.key)) for record in group if not is_baseline(record)]
        samples = [Sample(seed_of(run), nan if gain.value is None else gain.value, run) for run, gain in gains]
    cell = pool(samples)
    if cell.problem:
        return cell.notes[0]
    return {sample.seed: sample.value for sample in samples if np.isfinite(sample.value)}


def _comparison(row: Names, column: Column, ours: Values | str, theirs: Values | str) -> Comparison:
    if isinstance(ours, str) or isinstance(theirs, str):
        return Comparison(row, column, problem=ours if isinstance(ours, str) else f"baseline: {theirs}")
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    unpaired = tuple(sorted(ours.keys() ^ theirs.keys()))
    if not seeds:
        return Comparison(row, column, unpaired=unpaired, problem="no seed in common with the baseline")
    pairs = [(ours[seed], theirs[seed]) for seed in seeds]
    # the last bits of equal scores may differ
    gaps = [0.0 if abs(a - b) <= 1e-12 * max(abs(a), abs(b)) else a - b for a, b in pairs]
    sign = 1 if column.direction == "max" else -1
    return Comparison(
        *(row, column, seeds, unpaired),
        mean=statistics.fmean(a for a, _ in pairs),
        baseline=statistics.fmean(b for _, b in pairs),
        difference=statistics.fmean(gaps),
        interval=bootstrap_interval(gaps),
        record=(sum(sign * x > 0 for x in gaps), sum(x == 0 for x in gaps), sum(sign * x < 0 for x in gaps)),
        permutation=permutation_p(gaps) if len(gaps) > 1 else nan,
        wilcoxon=wilcoxon_p(gaps) if len(gaps) > 1 else nan,
    )


def _rankings(
    rows: Sequence[Names], columns: Sequence[Column], scores: Mapping[tuple[Names, Column], Values | str]
) -> Iterable[Ranking]:
    """Friedman's test in each column over the seeds that all rows have, and over the columns' means."""
    means, higher = [], []
    for column in columns:
        found = [values for row in rows if not isinstance(values := scores[row, column], str) and values]
        if len(found) < len(rows) or len(rows) < 3:
            continue
        means.append([statistics.fmean(values.values()) for values in found])
        higher.append(column.direction == "max")
        if len(seeds := sorted(set.intersection(*(set(values) for values in found)))) > 1:
            values_NK = np.array([[values[seed] for values in found] for seed in seeds])
            yield Ranking(f"{column.label} over {len(seeds)} seeds", tuple(rows), friedman(values_NK, higher[-1]))
    if len(means) > 1:
        yield Ranking(f"means of {len(means)} columns", tuple(rows), friedman(np.array(means), higher))
