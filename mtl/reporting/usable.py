"""Which runs make a table, and what is said of the others."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mtl.errors import MtlError
from mtl.reporting.columns import Record

if TYPE_CHECKING:
    import pandas as pd

SELECTION = {"last": "model after the last step", "best": "model that was best on validation"}


def finished(runs: "pd.DataFrame") -> "pd.DataFrame":
    """The finished runs that have the tags of this version of mtl."""
    return runs[(runs["status"] == "FINISHED") & readable(runs)]


def single_task(runs: "pd.DataFrame") -> "list[Record]":
    """The finished single-task runs."""
    usable = finished(runs)
    return usable[usable["tags.mtl.switching"] == "single"].to_dict("records") if "tags.mtl.switching" in usable else []


def with_baselines(chosen: "pd.DataFrame", everything: "pd.DataFrame") -> "pd.DataFrame":
    """The chosen runs, and single-task runs from elsewhere that they are measured against."""
    import pandas as pd

    if len(chosen) in (0, len(everything)) or "tags.mtl.switching" not in chosen:
        return chosen.copy()
    if (chosen["tags.mtl.switching"] == "single").all():
        return chosen.copy()
    single = everything[(everything["tags.mtl.switching"] == "single") & (everything["status"] == "FINISHED")]
    return pd.concat([chosen, single[~single["run_id"].isin(chosen["run_id"])]])


def readable(runs: "pd.DataFrame") -> "pd.Series":
    """Mask of the runs with a whole number as seed and, for every task, a primary metric and its direction."""
    import pandas as pd

    no = pd.Series(False, index=runs.index)
    if not {"tags.mtl.seed", "tags.mtl.tasks"}.issubset(runs.columns):
        return no
    good = runs["tags.mtl.seed"].map(lambda seed: bool(re.fullmatch(r"-?\d+", str(seed)))).astype(bool)
    good &= runs["tags.mtl.tasks"].notna() & (runs["tags.mtl.tasks"] != "")
    for listed in runs.loc[good, "tags.mtl.tasks"].unique():
        here = runs["tags.mtl.tasks"] == listed
        for task in listed.split(","):
            primary, direction = f"tags.mtl.primary.{task}", f"tags.mtl.direction.{task}"
            complete = runs[primary].notna() if primary in runs else no
            complete &= runs[direction].isin(["max", "min"]) if direction in runs else no
            good &= ~here | complete
    return good


def shown(runs: "pd.DataFrame", rows: Sequence[str]) -> tuple["pd.DataFrame", str]:
    """The finished runs that make rows, oldest first, and what is said of the others."""
    runs = runs.sort_values("start_time", kind="stable")
    single = runs["tags.mtl.switching"] == "single" if "tags.mtl.switching" in runs else runs["status"].isna()
    hidden = single if not {"switching", "tasks"}.intersection(rows) else single & False
    usable = finished(runs[~hidden])
    others = left_out(runs)
    if usable.empty:
        only = "; the single-task runs are rows where switching or tasks is among --rows" if len(finished(runs)) else ""
        raise MtlError(f"there is no finished run to show{only}" + (f" ({others})" if others else ""))
    return usable, others


def left_out(runs: "pd.DataFrame") -> str:
    """What is said of the runs that are not `finished`; empty where all are."""
    others = Counter(str(status).lower() for status in runs["status"] if status != "FINISHED")
    said = [f"{count} {status}" for status, count in sorted(others.items())]
    strange = runs["run_id"][(runs["status"] == "FINISHED") & ~readable(runs)].tolist()
    if strange:
        listed = ", ".join(strange[:3]) + (", ..." if len(strange) > 3 else "")
        said.append(f"{len(strange)} without the tags that this version of mtl writes ({listed})")
    return ", ".join(said)


def selection(runs: "pd.DataFrame", rows: Sequence[str]) -> str:
    """The rule by which the tested model of the runs was chosen, in words; rows of different rules are refused."""
    column = "tags.mtl.selection"
    rules = Counter(runs[column].fillna("not recorded") if column in runs else ["not recorded"] * len(runs))
    if len(rules) > 1 and "selection" not in rows:
        found = " and ".join(f"{rule} ({count} run{'s' if count > 1 else ''})" for rule, count in sorted(rules.items()))
        raise MtlError(
            f"the tested models were selected by different rules: {found}; "
            "name selection among --rows to keep them apart, or one sweep with --sweep"
        )
    if len(rules) > 1:
        return "selection: " + ", ".join(f"{rule} = {words}" for rule, words in SELECTION.items() if rule in rules)
    rule = next(iter(rules))
    return SELECTION.get(rule, f"selection of the model: {rule}")
