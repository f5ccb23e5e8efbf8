"""A run in words: its name, its tags, its parameters, its data."""

import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtl.cli.build import Run


PARTS = ("composition", "order", "rate")


def switching_name(chosen: Mapping[str, str]) -> str:
    """The preset, where its parts are as its file has them; else the parts that differ beside it: `joint bandit`."""
    import yaml

    from mtl.cli.conf import conf_dir

    preset = chosen["switching"]
    file = conf_dir() / "switching" / f"{preset}.yaml"
    if not file.exists():
        return preset
    usual: dict[str, str] = {}
    for entry in yaml.safe_load(file.read_text(encoding="utf-8")).get("defaults", []):
        usual |= entry if isinstance(entry, dict) else {}
    parts = [chosen.get(f"switching/{part}", usual.get(part)) for part in PARTS]
    differ = [str(part) for part, name in zip(parts, PARTS, strict=True) if part != usual.get(name)]
    return " ".join([preset, *differ])


def prompt_name(chosen: Mapping[str, str]) -> str:
    """`soft`, or `soft + keyword` for a learned prompt around a text prompt."""
    inside = chosen.get("prompt/text", "none")
    return chosen["prompt"] if inside == "none" else f"{chosen['prompt']} + {inside}"


def run_name(config: Mapping[str, Any], chosen: Mapping[str, str]) -> str:
    """`keyword x uncertainty, seed 0`; switching where it is not joint."""
    switching = switching_name(chosen)
    alone = config["switching"].get("task")
    parts = [prompt_name(chosen), f"single {alone}" if alone else chosen["weighting"]]
    if chosen["transform"] != "none" and not alone:
        parts[1] += f" of {chosen['transform']}"
    if switching not in ("joint", "single"):
        parts.append(switching)
    return f"{' x '.join(parts)}, seed {config['seed']}"


def tags(config: Mapping[str, Any], chosen: Mapping[str, str], run: "Run", key: str) -> dict[str, str]:
    """What tables and figures find the run by."""
    tasks = run.module.tasks
    found = {f"mtl.{group}": chosen[group] for group in ("prompt", "weighting", "transform", "switching", "trunk")}
    found |= {"mtl.switching": switching_name(chosen), "mtl.prompt": prompt_name(chosen)}
    found |= {
        "mtl.role": "run",
        "mlflow.source.name": "mtl train",
        "mlflow.source.type": "LOCAL",
        "mtl.key": key,
        "mtl.tasks": ",".join(tasks),
        "mtl.seed": str(config["seed"]),
        "mtl.selection": config["selection"],
    }
    for name, task in tasks.items():
        found[f"mtl.primary.{name}"] = task.metric
        found[f"mtl.direction.{name}"] = "max" if task.higher_is_better else "min"
        found[f"mtl.baseline_key.{name}"] = run.baseline_keys[name]
    return found


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`; lists stay whole."""
    if isinstance(node, Mapping) and node:
        return {name: value for key, child in node.items() for name, value in flat(child, f"{prefix}.{key}").items()}
    return {prefix.lstrip("."): node}


def data_report(run: "Run") -> tuple[str, dict[str, float], list[str]]:
    """What was read, as a page, as metrics, and what the user should hear of: rows left out, texts in two splits."""
    lines = [
        "| task | train | val | test | skipped | duplicates | in two splits | cut to length |",
        "|---|" + "--:|" * 7,
    ]
    values: dict[str, float] = {}
    notes, remarks = [], []
    for name, announced in run.tasks.items():
        rows, corpus = announced.labelled, announced.labelled.corpus
        skipped = [*corpus.skipped, *rows.skipped]
        counts = {
            **{f"rows_{split}": len(found) for split, found in rows.rows.items()},
            "rows_skipped": len(skipped),
            "rows_duplicate": corpus.duplicates,
            "texts_in_two_splits": len(corpus.straddling),
            "rows_cut": announced.inputs.truncated,
        }
        lines.append(f"| {name} | " + " | ".join(map(str, counts.values())) + " |")
        values |= {f"data/{name}/{key}": float(count) for key, count in counts.items()}
        notes += [f"- {name}: skipped {message}" for message in skipped[:100]]
        notes += [f"- {name}: in two splits: {text[:80]}" for text in corpus.straddling[:100]]
        if skipped:
            remarks.append(f"task {name}: left out {_count(len(skipped), 'row')}, the first is {skipped[0]}")
        if corpus.straddling:
            found = _count(len(corpus.straddling), "text")
            remarks.append(f"task {name}: {found} in more than one split, the first is '{corpus.straddling[0][:40]}'")
    return "\n".join([*lines, "", *notes]) + "\n", values, remarks


def examples(run: "Run") -> list[str]:
    """Two texts that the tasks are asked of, of different corpora where there are two."""
    found = {}
    for announced in run.tasks.values():
        labelled = announced.labelled
        found[id(labelled.corpus)] = [labelled.corpus.texts[row] for row in labelled.rows["test"][:2]]
    firsts, seconds = [texts[0] for texts in found.values()], [texts[-1] for texts in found.values()]
    return list(dict.fromkeys([*firsts, *seconds]))[:2]


@cache
def say(remark: str) -> None:
    """A line for the user that is no result: to standard error, once a process."""
    print(f"mtl: {remark}", file=sys.stderr, flush=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
