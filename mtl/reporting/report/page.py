"""One self-contained page of HTML about the runs of an experiment: tables, tests, figures, configurations, commands."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mtl.errors import MtlError
from mtl.functional.paired import pairs_needed, smallest_p
from mtl.reporting.cells import summarise
from mtl.reporting.columns import primaries
from mtl.reporting.compare import Comparisons, compare
from mtl.reporting.comparison_layout import LEVEL
from mtl.reporting.comparison_layout import lay_out as lay_out_comparisons
from mtl.reporting.figures.asked import History
from mtl.reporting.layout import Layout, lay_out
from mtl.reporting.pages import render
from mtl.reporting.report import appendix, commands, facts, packages, pictures, settings, switching
from mtl.reporting.usable import finished, single_task, with_baselines

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


@dataclass(frozen=True)
class Origin:
    """What the store says beside the runs: its kind, the sweeps' tags (None: gone), `packages.txt` by run."""

    store: str
    sweeps: Mapping[str, Mapping[str, str] | None] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What is asked of a page; None: what fits the runs (see `settings.default_rows`, `settings.default_baseline`)."""

    rows: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    baseline: Mapping[str, str] | None = None
    spread: str = "se"
    digits: int | None = None
    percent: bool = True
    figures: Sequence[str] = tuple(pictures.TITLES)
    appendix: int = 200


def contents(
    runs: "pd.DataFrame", everything: "pd.DataFrame", wanted: Wanted, history: History, origin: Origin
) -> dict[str, Any]:
    """All that the template shows, as plain values and text; a part that can't be made is its reason instead.

    Args:
        runs: those of the page, as `read_runs` gives them; at least one.
        everything: of the experiment, for single-task runs that a sweep is measured against.
        wanted: options.
        history: finds curves, see `mtl.reporting.figures.figure`.
        origin: what the frame does not have.
    """
    usable = finished(runs)
    rows = list(wanted.rows or (settings.default_rows(usable) if len(usable) else ["weighting"]))
    given = dict(wanted.baseline or (settings.default_baseline(_shown(usable), rows) if len(usable) else {}))
    told, found = facts.facts(runs), settings.settings(runs)
    # what the user named wrongly is an error; what the runs don't have is left out
    named = [bool(len(usable) and words) for words in (wanted.rows or wanted.columns, wanted.baseline)]
    table, no_table = _tried(lambda: _table(runs, everything, rows, wanted), named[0])
    comparisons, no_tests = _tried(lambda: _comparisons(runs, everything, rows, given, wanted), named[1])
    if comparisons and max((len(line.seeds) for line in comparisons.lines), default=0) < 2:
        said = ", ".join(f"{key}={value}" for key, value in given.items())
        comparisons, no_tests = None, f"no row shares two seeds with the baseline {said}, so there is nothing to test"
    real, no_switching = _tried(lambda: switching.realised(_shown(usable), rows))
    shown = with_baselines(usable, everything)
    drawn, missing = pictures.pictures(shown, rows, history, wanted.figures) if len(usable) else ([], [])
    return {
        "facts": told,
        "origin": origin,
        "rows": rows,
        "table": table,
        "no_table": no_table,
        "single": bool(single_task(everything)),
        "baseline": ",".join(f"{key}={value}" for key, value in given.items()),
        "chosen": not wanted.baseline,
        "tests": comparisons and lay_out_comparisons(comparisons, percent=wanted.percent),
        "few": comparisons and _few(comparisons),
        "no_tests": no_tests,
        "pictures": drawn,
        "missing": missing,
        "switching": real if real and real.lines else None,
        "no_switching": no_switching or "no run recorded the rows that it gave to each task",
        "settings": found,
        "duration": facts.lasted(told.seconds),
        "sweeps": commands.sweeps(runs, origin.sweeps),
        "alone": commands.alone(runs),
        "files": commands.files(runs),
        "packages": packages.packages(origin.packages),
        "entries": appendix.entries(runs, list(found.varying), wanted.appendix),
    }


def write(values: Mapping[str, Any]) -> str:
    """The page. Every value is escaped; scripts and addresses from elsewhere are forbidden to the browser as well."""
    return render(Path(__file__).parent, **values)


def _tried(make: Callable[[], T], needed: bool = False) -> tuple[T | None, str]:
    """What was made, or why it could not be; what is `needed` raises its MtlError."""
    try:
        return make(), ""
    except MtlError as error:
        if needed:
            raise
        return None, str(error)


def _table(runs: "pd.DataFrame", everything: "pd.DataFrame", rows: Sequence[str], wanted: Wanted) -> Layout:
    """Without a column of Delta_m where no single-task run is in the record."""
    columns = wanted.columns
    if columns is None and not single_task(everything):
        columns = [*(column.key for column in primaries(_shown(finished(runs)).to_dict("records"))), "rank"]
    table = summarise(runs, rows, columns, baselines=everything, spread=wanted.spread)
    return lay_out(table, digits=wanted.digits, percent=wanted.percent)


def _comparisons(
    runs: "pd.DataFrame",
    everything: "pd.DataFrame",
    rows: Sequence[str],
    baseline: Mapping[str, str],
    wanted: Wanted,
) -> Comparisons:
    if not baseline:
        raise MtlError("no baseline was named, and none of the rows is a customary one; --baseline KEY=VALUE names it")
    columns = [name for name in wanted.columns or () if name not in ("rank",)] or None
    return compare(runs, baseline, rows, columns, baselines=everything)


def _few(found: Comparisons) -> str:
    """How many of the comparisons have too few pairs for any verdict."""
    tested = [line for line in found.lines if not line.problem]
    few = [line for line in tested if smallest_p(len(line.seeds)) > LEVEL]
    if not few:
        return ""
    return (
        f"{len(few)} of {len(tested)} comparisons have fewer than {pairs_needed(LEVEL)} pairs of seeds: no exact "
        f"two-sided test of so few can reach {LEVEL:.0%}. Read their differences and intervals, not their p."
    )


def _shown(usable: "pd.DataFrame") -> "pd.DataFrame":
    """Without single-task runs, unless there are no others, oldest first."""
    usable = usable.sort_values("start_time", kind="stable")
    if "tags.mtl.switching" not in usable:
        return usable
    joint = usable[usable["tags.mtl.switching"] != "single"]
    return joint if len(joint) else usable
