"""What makes two runs the same: hashes of what can change a result."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import mtl
from mtl.cli.extensions import code_of
from mtl.errors import MtlError

INERT = {"tracking": (), "trainer": ("progress",), "experiment": (), "again": (), "retry": (), "checkpoint_every": ()}
"""Parts of a configuration that can't change a result: a whole group, or fields of one."""

FIELDS = {"budget": "budget.rows=N, .tokens, .seconds or .flops", "early_stop": "early_stop.patience=N, .mean_patience"}


def effective(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration without `steps` where the budget is in another unit: it has no effect then."""
    for field in ("budget", "early_stop"):
        if not isinstance(config[field], Mapping):
            raise MtlError(f"{field} should have fields: {FIELDS[field]}. Found {field}={config[field]}")
    given = any(amount is not None for amount in config["budget"].values())
    return {**config, "steps": None} if given else config


def digest(value: Any) -> str:
    """16 hexadecimal digits of a SHA-256 over plain data."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_key(config: Mapping[str, Any], sources: Sequence[str]) -> str:
    """Equal for two configurations that give the same result on the same machine.

    Args:
        config: resolved, as plain data.
        sources: keys of the rows that the tasks read: a file that has changed is another source.
    """
    kept = {
        group: {field: value for field, value in node.items() if field not in INERT[group]} if group in INERT else node
        for group, node in effective(config).items()
        if INERT.get(group) != ()
    }
    kept["trunk"] = without_cache(kept["trunk"], kept=True)
    return digest([mtl.__version__, kept, list(sources), *code_of(kept)])


def without_cache(trunk: Mapping[str, Any], kept: bool = False) -> Mapping[str, Any]:
    """The trunk's options without where its features are `kept`, or whether they are at all: the same to 1e-6."""
    rest = {field: value for field, value in trunk.items() if field != "cache"}
    return {**rest, "cache": True} if kept and trunk.get("cache") else rest


def baseline_key(config: Mapping[str, Any], task: str, per_token: bool, source: str) -> str:
    """Equal for a run and the single-task run it may be measured against: all but switching, weighting, other tasks.

    All runs of a study are measured against the same single-task runs, whatever transforms their losses. One that is
    itself trained on transformed losses is another run, and no baseline.
    """
    shared = (
        "prompt",
        "trunk",
        "head",
        "optimizer",
        "data",
        "seed",
        "steps",
        "budget",
        "early_stop",
        "batch_size",
        "selection",
    )
    kept = {field: effective(config)[field] for field in shared}
    kept["trunk"] = without_cache(kept["trunk"])
    if "task" in config["switching"] and not config["transform"]["_target_"].endswith(".Identity"):
        kept["transform"] = config["transform"]
    precision = {field: config["trainer"][field] for field in ("precision", "gradient_clip_val")}
    stops = any(config["early_stop"][field] is not None for field in ("patience", "mean_patience"))
    every = config["eval_every"] if stops or config["selection"] == "best" else None
    own = code_of([kept, config["tasks"][task]])
    return digest([kept, precision, every, per_token, task, config["tasks"][task], source, *own])
