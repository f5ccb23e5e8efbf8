"""The configuration of many runs: what all share, what varies, and by what their rows should be named."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl.reporting.baselines import is_baseline
from mtl.reporting.columns import TAGS

if TYPE_CHECKING:
    import pandas as pd

ABSENT = "(not set)"
CUSTOMARY = {"weighting": "equal", "prompt": "none", "switching": "joint", "transform": "none"}
"""What the others are held against if nobody says otherwise, the first of them that varies."""
NOT_RESULTS = ("tracking.", "trainer.progress", "again", "retry", "checkpoint_every")
"""Settings that can't change a result, so no row is named by them."""


@dataclass(frozen=True)
class Settings:
    """Parameters of runs.

    Args:
        common: those with one value in all runs.
        varying: the others: each value with its number of runs, the commonest first.
        without: runs that recorded no configuration; they are not counted here.
    """

    common: Mapping[str, str]
    varying: Mapping[str, Mapping[str, int]]
    without: int


def settings(runs: "pd.DataFrame") -> Settings:
    """Of a frame of runs, as `read_runs` gives it."""
    names = [name for name in runs.columns if name.startswith("params.")]
    found = runs[names].dropna(how="all")
    common, varying = {}, {}
    for name in names:
        values = found[name].fillna(ABSENT).astype(str)
        if values.empty:
            continue
        if (values == values.iloc[0]).all():
            common[name.removeprefix("params.")] = quoted(values.iloc[0])
        else:
            counts = sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0]))
            varying[name.removeprefix("params.")] = {quoted(value): count for value, count in counts}
    return Settings(common, varying, len(runs) - len(found))


def quoted(value: str) -> str:
    """A value that would not be seen, or not to its end, stands in quotation marks."""
    return value if value == value.strip() != "" else f"'{value}'"


def default_rows(runs: "pd.DataFrame") -> list[str]:
    """What tells the configurations of the usable runs apart.

    The options in which they vary, then every parameter that varies among runs of the same options, but the seed and
    what follows it. `weighting` where nothing varies. Single-task runs are looked at where there are no others.
    """
    joint = runs[[not is_baseline(record) for record in runs.to_dict("records")]]
    looked = joint if len(joint) else runs
    names = [f"tags.mtl.{key}" for key in TAGS if key != "seed" and f"tags.mtl.{key}" in looked]
    chosen = [name for name in names if looked[name].fillna("–").nunique() > 1]
    if looked is runs and "tags.mtl.tasks" not in chosen:
        chosen.append("tags.mtl.tasks")
    groups = looked.groupby([looked[name].fillna("–") for name in chosen]) if chosen else [((), looked)]
    params = [name for name in looked.columns if name.startswith("params.")]
    params = [name for name in params if looked[name].fillna(ABSENT).nunique() > 1 and _names_a_row(looked, name)]
    apart = {name for _, group in groups for name in params if group[name].fillna(ABSENT).nunique() > 1}
    keys = [name.removeprefix("tags.mtl.") for name in chosen]
    return [*keys, *(name.removeprefix("params.") for name in params if name in apart)] or ["weighting"]


def _names_a_row(runs: "pd.DataFrame", name: str) -> bool:
    """Whether it can change a result and is not the seed under another name."""
    short = name.removeprefix("params.")
    if short.startswith(NOT_RESULTS) or short == "seed":
        return False
    return not (runs[name].astype(str) == runs["tags.mtl.seed"].astype(str)).all()


def default_baseline(runs: "pd.DataFrame", rows: Sequence[str]) -> dict[str, str]:
    """The customary value of the first row key that has it beside others; empty where there is none."""
    for key, value in CUSTOMARY.items():
        if key in rows and f"tags.mtl.{key}" in runs:
            seen = set(runs[f"tags.mtl.{key}"].dropna())
            if value in seen and len(seen) > 1:
                return {key: value}
    return {}
