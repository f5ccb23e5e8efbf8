"""Runs to a table: one row a combination, one column a metric, mean and standard error over seeds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mtl.errors import MtlError, choices
from mtl.functional.pareto import hypervolume, pareto_front
from mtl.reporting.baselines import Baselines, is_baseline
from mtl.reporting.columns import Record, all_metrics, labels, primaries, resolve
from mtl.reporting.layout import SPREADS
from mtl.reporting.pooling import gain_cell, pool, samples_of, seed_of
from mtl.reporting.ranks import mean_ranks
from mtl.reporting.table import DELTA_M, Cell, Column, Table
from mtl.reporting.usable import selection, shown, single_task

if TYPE_CHECKING:
    import pandas as pd

Groups = Mapping[tuple[str, ...], Sequence[Record]]


def summarise(
    runs: "pd.DataFrame",
    rows: Sequence[str] = ("prompt", "weighting"),
    columns: Sequence[str] | None = None,
    *,
    baselines: "pd.DataFrame | None" = None,
    spread: str = "se",
    pareto: Sequence[str] | None = None,
) -> Table:
    """The table of the finished runs.

    Args:
        runs: one row a run, with the columns of `read_runs`.
        rows: what names a row: `prompt`, `weighting`, `switching`, `trunk`, `tasks`, `selection`, `seed` or a
            parameter (`optimizer.lr`). Single-task runs are rows only where `switching` or `tasks` is among them.
        columns: metric names, tasks, `delta_m`, `delta_m_metrics`, `delta_m_tasks` and `rank`; by default the primary
            metric of every task, `delta_m` and `rank`.
        baselines: where to look for single-task runs, if not among `runs`.
        spread: beside each mean, its standard error (`se`) or a bootstrap interval (`interval`).
        pareto: two columns; rows that no other dominates in them are marked.

    """
    if spread not in SPREADS:
        raise MtlError(f"spread should be {choices(SPREADS)}. Found '{spread}'")
    usable, left_out = shown(runs, rows)
    remarks = [selection(usable, rows)]
    records = usable.to_dict("records")
    metrics = [name.removeprefix("metrics.") for name in usable.columns if name.startswith("metrics.")]
    wanted = resolve(records, columns, metrics)
    groups = grouped(labels(usable, rows), records)
    seeds = tuple(sorted({seed_of(record) for record in records}))
    expected = () if "seed" in rows else seeds
    every = all_metrics(records, metrics)
    single = Baselines(single_task(runs if baselines is None else baselines), every)
    if {"delta_m_metrics", "delta_m_tasks"}.intersection(column.key for column in wanted):
        parts = [f"{task}: {', '.join(c.key.rsplit('/', 1)[-1] for c in found)}" for task, found in every.items()]
        remarks.append(f"metrics in Δm over metrics and over tasks: {'; '.join(parts)}")

    def cell(column: Column, group: Sequence[Record], spread: str = spread) -> Cell:
        if column.key in DELTA_M:
            return gain_cell(group, single, column.key, expected, spread)
        return pool(samples_of(group, column), expected, spread) if column.is_metric else Cell()

    cells = [[cell(column, group) for column in wanted] for group in groups.values()]
    ranks, ranked = _ranks(groups, [column for column in wanted if column.is_metric] or primaries(records))
    for row, rank in zip(cells, ranks, strict=True):
        row[:] = [rank if column.key == "rank" else found for column, found in zip(wanted, row, strict=True)]
    if pareto is not None:
        pair = resolve(records, pareto, metrics)
        means = [[_mean(cell(column, group, "se")) for column in pair] for group in groups.values()]
        front, remark = _front(pair, np.array(means))
        wanted, remarks = [*wanted, Column("front")], [*remarks, remark]
        cells = [[*row, found] for row, found in zip(cells, front, strict=True)]
    return Table(
        *(tuple(rows), tuple(groups), tuple(wanted), tuple(map(tuple, cells)), seeds),
        *(sum(rank.counts for rank in ranks), ranked, left_out, tuple(remarks), spread),
    )


def grouped(names: Sequence[tuple[str, ...]], records: Sequence[Record]) -> Groups:
    """Runs by row; rows follow the order in which the values of each key first appeared."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for name, record in zip(names, records, strict=True):
        groups.setdefault(name, []).append(record)
    first = [{value: place for place, value in enumerate(dict.fromkeys(values))} for values in zip(*names, strict=True)]
    order = sorted(groups, key=lambda name: [places[part] for places, part in zip(first, name, strict=True)])
    return {name: groups[name] for name in order}


def _ranks(groups: Groups, columns: Iterable[Column]) -> tuple[list[Cell], int]:
    """Mean rank of every row over the columns with a direction, and their number; baselines are not ranked."""
    columns = [column for column in columns if column.direction]
    means_RC = np.full((len(groups), len(columns)), np.nan)
    for row, group in enumerate(groups.values()):
        if not all(map(is_baseline, group)):
            means_RC[row] = [_mean(pool(samples_of(group, column))) for column in columns]
    ranks_R = mean_ranks(means_RC, [column.direction == "max" for column in columns])
    alone = np.isfinite(ranks_R).sum() < 2
    return [Cell() if alone or np.isnan(rank) else Cell(float(rank)) for rank in ranks_R], len(columns)


def _front(pair: Sequence[Column], means_R2: np.ndarray) -> tuple[list[Cell], str]:
    """Which rows are on the Pareto front of two columns, and its hypervolume in words."""
    if len(pair) != 2 or not all(column.direction for column in pair):
        found = ", ".join(column.label for column in pair)
        raise MtlError(f"pareto: name two different columns whose better direction is known. Found {found}")
    higher = [column.direction == "max" for column in pair]
    complete_R = np.asarray(~np.isnan(means_R2).any(axis=1))
    on_R = pareto_front(means_R2, higher)
    names = " and ".join(column.label for column in pair)
    remark = f"Pareto front: no other row is as good in {names} and better in one"
    if complete_R.any():
        found_N2 = means_R2[complete_R]
        worst = [float(x.min() if up else x.max()) for x, up in zip(found_N2.T, higher, strict=True)]
        volume = hypervolume(found_N2, worst, higher)
        remark += (
            f"; hypervolume {volume:.4g} to the reference point ({worst[0]:.4g}, {worst[1]:.4g}), the worst of each"
        )
    return [Cell(float(on)) if complete else Cell() for on, complete in zip(on_R, complete_R, strict=True)], remark


def _mean(cell: Cell) -> float:
    return np.nan if cell.mean is None else cell.mean
