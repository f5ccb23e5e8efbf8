"""What `mtl design` writes: prompts as YAML files, the page, the winner, and the numbers as JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.errors import MtlError

if TYPE_CHECKING:
    from mtl.cli.tournament import Judge, Tried
    from mtl.design.candidates import Candidate
    from mtl.reporting.design.page import Line


def write_prompts(folder: Path, found: "Sequence[Candidate]") -> None:
    """Each as a file for `prompt=`."""
    import yaml

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for candidate in found:
            if candidate.node:
                text = yaml.safe_dump(dict(candidate.node), allow_unicode=True, sort_keys=False)
                said = f"# by mtl design: {candidate.family} of {candidate.origin}\n"
                (folder / f"{candidate.name}.yaml").write_text(said + text, encoding="utf-8")
    except OSError as error:
        raise MtlError(f"output: {folder} cannot be written: {error.strerror}") from error


def write_all(
    output: Path,
    asked: Mapping[str, Any],
    judge: "Judge",
    tried: "Sequence[Tried]",
    lines: "Sequence[Line]",
    told: Mapping[str, Any],
) -> str:
    """The page, the winner's YAML, and the numbers as JSON; the verdict and where they are, to print.

    Args:
        output: folder that has `prompts` already.
        asked: budget, seeds, words and experiment of the command.
        judge: knows the scores.
        tried: all rounds.
        lines: finalists against controls.
        told: what was seen of the tasks (`design_rows.seen`).
    """
    from mtl.reporting.design.page import Score, verdict, write

    final = max(one.number for one in tried)
    scores = [
        Score(
            one.candidate.name,
            one.candidate.control,
            one.number,
            one.steps,
            {task: judge.score(one, task, choosing=True) for task in judge.loaded},
            {task: judge.score(one, task, choosing=False) for task in judge.loaded} if one.number == final else {},
            {task: " ".join(words) for task, words in one.candidate.words.items()},
            one.run_ids,
        )
        for one in tried
    ]
    winner = max((one for one in scores if one.number == final and not one.control), key=lambda one: one.mean)
    said = verdict(winner.name, lines)
    metrics = {task: rows.task.metric for task, rows in judge.loaded.items()}
    spent = sum(one.steps * len(one.run_ids) for one in tried)
    values: dict[str, Any] = {"verdict": said, "spent": spent, "metrics": metrics, **asked}
    out = output.resolve()
    made = (out / "prompts" / f"{winner.name}.yaml").read_text(encoding="utf-8")
    rows: dict[str, Any] = {
        "winner": winner.name,
        "scores": [vars(one) for one in scores],
        "lines": list(map(plain, lines)),
    }
    rows |= {"tasks": analysed(told), "alike": [vars(pair) for pair in told["alike"]]}
    page = values | dict(told) | {"winner": winner, "scores": scores, "lines": lines, "yaml": made}
    (out / "winner.yaml").write_text(made, encoding="utf-8")
    (out / "results.json").write_text(as_json(values | rows), encoding="utf-8")
    (out / "report.html").write_text(write(page), encoding="utf-8")
    return (
        f"{said}\n{spent:,} steps of {asked['budget']:,}; runs in experiment {asked['experiment']}\n"
        f"written to {output}: report.html, winner.yaml (prompt={output / 'winner.yaml'}), prompts, results.json"
    )


def analysed(told: Mapping[str, Any]) -> dict[str, Any]:
    """Probes, ranks, effects and words of each task, for JSON."""
    return {
        task: {
            "probes": dict(facts.probes),
            "trunk": vars(told["trunk"][task]) if task in told["trunk"] else None,
            "measures": {name: vars(effect) for name, effect in told["effects"][task].items()},
            "words": {name: [vars(word) for word in words] for name, words in told["keywords"][task].items()},
        }
        for task, facts in told["facts"].items()
    }


def as_json(values: Any) -> str:
    """The values as JSON, which knows no NaN and no infinity: `null`, as for the likeness of features that are one."""

    def known(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: known(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [known(part) for part in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(known(values), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def plain(line: "Line") -> dict[str, Any]:
    """For JSON."""
    return vars(line) | {"difference": vars(line.difference)}
