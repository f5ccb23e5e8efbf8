"""Runs to a table: one row a combination, one column a metric, mean and standard error over seeds."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mtl.errors import MtlError
from mtl.reporting.baselines import Baselines, is_baseline
from mtl.reporting.columns import Record, labels, primaries, resolve
from mtl.reporting.pooling import gain_cell, metric_cell, seed_of
from mtl.reporting.ranks import mean_ranks
from mtl.reporting.table import Cell, Column, Table

if TYPE_CHECKING:
    import pandas as pd

Groups = Mapping[tuple[str, ...], Sequence[Record]]


def summarise(
    runs: "pd.DataFrame",
    rows: Sequence[str] = ("prompt", "weighting"),
    columns: Sequence[str] | None = None,
    *,
    baselines: "pd.DataFrame | None" = None,
) -> Table:
    """The table of the finished runs.

    Args:
        runs: one row a run, with the columns of `read_runs`.
        rows: what names a row: `prompt`, `weighting`, `switching`, `trunk`, `tasks`, `seed` or a parameter
            (`optimizer.lr`). Single-task runs are rows only where `switching` or `tasks` is among them.
        columns: metric names, tasks, `delta_m` and `rank`; by default the primary metric of every task and these two.
        baselines: where to look for single-task runs, if not among `runs`.

    """
    shown, left_out = _shown(runs, rows)
    records = shown.to_dict("records")
    metrics = [name.removeprefix("metrics.") for name in shown.columns if name.startswith("metrics.")]
    wanted = resolve(records, columns, metrics)
    groups = _grouped(labels(shown, rows), records)
    seeds = tuple(sorted({seed_of(record) for record in records}))
    expected = () if "seed" in rows else seeds
    single_task = Baselines(_finished(runs if baselines is None else baselines).to_dict("records"))

    ranks, ranked = _ranks(groups, [column for column in wanted if column.is_metric] or primaries(records))

    def cell(column: Column, group: Sequence[Record], rank: Cell) -> Cell:
        if column.key == "rank":
            return rank
        return metric_cell(group, column, expected) if column.is_metric else gain_cell(group, single_task, expected)

    cells = tuple(
        tuple(cell(column, group, rank) for column in wanted)
        for group, rank in zip(groups.values(), ranks, strict=True)
    )
    pool = sum(rank.counts for rank in ranks)
    return Table(tuple(rows), tuple(groups), tuple(wanted), cells, seeds, pool, ranked, left_out)


def _finished(runs: "pd.DataFrame") -> "pd.DataFrame":
    return runs[runs["status"] == "FINISHED"]


def _shown(runs: "pd.DataFrame", rows: Sequence[str]) -> tuple["pd.DataFrame", str]:
    """The finished runs that make rows, oldest first, and what is said of the others."""
    runs = runs.sort_values("start_time", kind="stable")
    if "tags.mtl.switching" in runs and not {"switching", "tasks"}.intersection(rows):
        candidates = runs[runs["tags.mtl.switching"] != "single"]
    else:
        candidates = runs
    shown = _finished(candidates)
    others = Counter(str(status).lower() for status in runs["status"] if status != "FINISHED")
    left_out = ", ".join(f"{count} {status}" for status, count in sorted(others.items()))
    if shown.empty:
        only = (
            "; the single-task runs are rows where switching or tasks is among --rows" if len(_finished(runs)) else ""
        )
        raise MtlError(f"there is no finished run to show{only}" + (f" ({left_out})" if left_out else ""))
    return shown, left_out


def _grouped(names: Sequence[tuple[str, ...]], records: Sequence[Record]) -> Groups:
    """Runs by row; rows follow the order in which the values of each key first appeared."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for name, record in zip(names, records, strict=True):
        groups.setdefault(name, []).append(record)
    first = [list(dict.fromkeys(values)) for values in zip(*names, strict=True)]
    order = sorted(groups, key=lambda name: [values.index(part) for values, part in zip(first, name, strict=True)])
    return {name: groups[name] for name in order}


def _ranks(groups: Groups, columns: Iterable[Column]) -> tuple[list[Cell], int]:
    """Mean rank of every row over the columns with a direction, and their number; baselines are not ranked."""
    columns = [column for column in columns if column.direction]
    means_RC = np.full((len(groups), len(columns)), np.nan)
    for row, group in enumerate(groups.values()):
        if not all(map(is_baseline, group)):
            means = [metric_cell(group, column, ()).mean for column in columns]
            means_RC[row] = [np.nan if mean is None else mean for mean in means]
    ranks_R = mean_ranks(means_RC, [column.direction == "max" for column in columns])
    alone = np.isfinite(ranks_R).sum() < 2
    return [Cell() if alone or np.isnan(rank) else Cell(float(rank)) for rank in ranks_R], len(columns)
