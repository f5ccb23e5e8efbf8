"""`mtl design`: prompts from the training data, tried out against controls under one budget of steps."""

import argparse
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.cli.output import names
from mtl.errors import MtlError, choices

if TYPE_CHECKING:
    from mtl.cli.tournament import Judge, Round, Tried
    from mtl.design.candidates import Candidate
    from mtl.reporting.design.page import Line

EXAMPLE = """example:
  mtl design 'task=[shopping_category,shopping_sentiment]' trunk=lstm budget=6000 seed=0,1 --output design

KEY=VALUE is budget=STEPS (of all runs together; default: 4000), seed=0,1 (default: 0), or anything that every run of
mtl train should have;
words and cuts are fitted on the training split, candidates are judged on the validation split, test decides nothing
"""
LEAST_STEPS = 5
OURS = ("prompt", "steps", "eval_every", "tracking.model", "tracking.experiment", "selection", "hydra.sweep.dir")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command's options."""
    parser = commands.add_parser(
        "design",
        help="design prompts from the training data, and try them out against controls",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="+", metavar="KEY=VALUE", help="task=[...], trunk=..., budget=STEPS, seed=0,1")
    parser.add_argument("--output", type=Path, default=Path("design"), help="folder to write (default: %(default)s)")
    parser.add_argument("--experiment", default="design", help="name in the record (default: %(default)s)")
    parser.add_argument(
        "--families",
        type=names,
        help="of keyword, phrase, feature (default: these three), soft, feature_vector, prefix",
    )
    parser.add_argument("--statistics", type=names, help="of chi2, pmi, log_odds, tfidf, lm (default: all there are)")
    parser.add_argument("--keywords", type=int, default=2, metavar="N", help="words a label (default: %(default)s)")
    parser.add_argument(
        "--least",
        type=int,
        default=5,
        metavar="N",
        help="rows that a keyword stands in, or more (default: %(default)s)",
    )
    parser.add_argument(
        "--finalists", type=int, default=2, metavar="N", help="of the last round (default: %(default)s)"
    )
    return parser


@dataclass(frozen=True)
class Asked:
    """The words of the command, sorted: what every run has, the budget in steps, the seeds."""

    words: tuple[str, ...]
    budget: int
    seeds: tuple[int, ...]


def run(args: argparse.Namespace) -> int:
    """Analyse, generate, try out, and write what was found."""
    if importlib.util.find_spec("sklearn") is None or importlib.util.find_spec("matplotlib") is None:
        raise MtlError("design needs scikit-learn and matplotlib; pip install 'mtl[design]'")
    asked = sort_words(args.words)
    _check(args)
    from mtl.cli.design_files import write_all, write_prompts
    from mtl.cli.design_rows import check_room, gather, load, seen
    from mtl.cli.design_trunk import check_families
    from mtl.cli.tournament import Judge, Round
    from mtl.data.pixels import is_image
    from mtl.design.candidates import WORDED, candidates, controls
    from mtl.design.measures import told

    config, loaded = load(asked.words)
    if images := [name for name, rows in loaded.items() if is_image(rows.corpus.texts[0])]:
        raise MtlError(f"design announces texts in words. Found images, in task {images[0]}")
    check_families(config, args.families)
    judge = Judge(loaded)
    judge.check()
    rows = gather(config, loaded, args.least, args.statistics)
    check_families(config, args.families, rows.opened)
    found = candidates(loaded, rows.tables, args.keywords, args.families, told(rows.effects))
    worded = [family for family in WORDED if family in args.families] or ["keyword"]
    possible = [one for name in rows.tables for one in controls(loaded, rows.tables, args.keywords, name, worded)]
    check_room(rows, [*found, *possible])
    steps = plan(found, args.finalists, asked)
    print(f"{len(found)} candidates, {len(steps) - 1} screening rounds, budget {asked.budget:,} steps", flush=True)
    facts, tables = seen(rows, found, args.keywords), rows.tables
    del rows  # the trunk that was looked at makes room for those that train
    folder = args.output.resolve() / "prompts"
    write_prompts(folder, found)
    rounds = Round(asked.words, asked.seeds, args.experiment, config["tracking"]["uri"], folder, loaded)
    tried, left = screen(rounds, judge, found, steps[:-1], args.finalists)
    families = [family for family in worded if any(c.family == family for c in left)] or ["keyword"]
    statistic = next((c.origin for c in left if c.origin in tables), next(iter(tables)))
    against = controls(loaded, tables, args.keywords, statistic, families)
    write_prompts(folder, against)
    rest = asked.budget - sum(one.steps * len(asked.seeds) for one in tried)
    runs = (len(left) + len(against)) * len(asked.seeds)
    final = rounds.train([*left, *against], len(steps), rest // runs)
    lines = compare(judge, final)
    print(write_all(args.output, vars(asked) | {"experiment": args.experiment}, judge, [*tried, *final], lines, facts))
    return 0


def _check(args: argparse.Namespace) -> None:
    """The options, looked at before anything is read; those not given are filled in."""
    from mtl.design.candidates import FAMILIES, TEXTS
    from mtl.design.keywords import STATISTICS

    for name, allowed in (("families", FAMILIES), ("statistics", tuple(STATISTICS))):
        if bad := [word for word in getattr(args, name) or () if word not in allowed]:
            raise MtlError(f"{name} should be of {choices(allowed)}. Found '{bad[0]}'")
    args.families = args.families or list(TEXTS)
    for name in ("keywords", "least", "finalists"):
        if getattr(args, name) < 1:
            raise MtlError(f"{name} should be 1 or more. Found {getattr(args, name)}")


def sort_words(words: Sequence[str]) -> Asked:
    """Budget and seeds apart from what every run has; MtlError for what the command decides itself."""
    from mtl.cli.conf import options

    kept, own = [], {"budget": "4000", "seed": "0"}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise MtlError(f"design takes words like task=[...]. Found '{word}'")
        if key in OURS or key.startswith("budget."):
            raise MtlError(
                f"design sets {key} itself, from budget=STEPS, --experiment and its candidates. Found '{word}'"
            )
        if key in own:
            own[key] = value
            continue
        if key == "task":
            for name in filter(None, (part.strip() for part in value.strip("[]").split(","))):
                if name not in options("task") and not name.endswith((".yaml", ".yml")):
                    known = ", ".join(options("task"))
                    raise MtlError(f"task: there is no task '{name}'. There is: {known}, or a YAML file of yours")
        kept.append(word)
    if not any(word.startswith("task=") for word in kept):
        raise MtlError("design needs task=[...]: the tasks to announce")
    if not own["budget"].isdigit() or int(own["budget"]) < 1:
        raise MtlError(f"budget should be a whole number of steps. Found '{own['budget']}'")
    seeds = names(own["seed"])
    if not seeds or not all(seed.isdigit() for seed in seeds) or len(set(seeds)) < len(seeds):
        raise MtlError(f"seed should be different whole numbers, such as 0,1. Found '{own['seed']}'")
    return Asked(tuple(kept), int(own["budget"]), tuple(map(int, seeds)))


def plan(found: "Sequence[Candidate]", finalists: int, asked: Asked) -> list[int]:
    """Steps of a run in each round; MtlError where the budget is too small."""
    from mtl.design.candidates import WORDED
    from mtl.functional.halving import least_budget, shares, sizes

    families = {candidate.family for candidate in found} & set(WORDED)
    seeds = len(asked.seeds)
    screens = [size * seeds for size in sizes(len(found), finalists)]
    last = seeds * (min(finalists, len(found)) + 1 + 3 * max(1, min(finalists, len(families))))
    needed = least_budget(screens, last, LEAST_STEPS)
    if asked.budget < needed:
        raise MtlError(
            f"budget should be at least {needed} steps for {len(found)} candidates, their controls and {seeds} seeds "
            f"({LEAST_STEPS} steps a run). Found {asked.budget}"
        )
    return shares(asked.budget, screens, last)


def screen(
    rounds: "Round", judge: "Judge", found: "Sequence[Candidate]", steps: Sequence[int], finalists: int
) -> "tuple[list[Tried], list[Candidate]]":
    """Everything that was tried, and the candidates that are left for the last round."""
    tried: list[Tried] = []
    left = list(found)
    for number, each in enumerate(steps, 1):
        made = sorted(rounds.train(left, number, each), key=judge.mean, reverse=True)
        tried += made
        left = [one.candidate for one in made[: max(finalists, -(-len(made) // 2))]]
        print(f"round {number}: {each} steps a run; best {left[0].name} {judge.mean(made[0]):.4f}", flush=True)
    return tried, left


def compare(judge: "Judge", final: "Sequence[Tried]") -> "list[Line]":
    """Every finalist against every control in each task, on the half that chose nothing; Holm over all of them."""
    from mtl.design.analysis import targets
    from mtl.functional.holm import holm
    from mtl.functional.row_bootstrap import paired_bootstrap
    from mtl.reporting.design.page import Line

    found = []
    for ours in (one for one in final if not one.candidate.control):
        for theirs in (one for one in final if one.candidate.control):
            for task, rows in judge.loaded.items():
                at = judge.half(task, choosing=False)
                wanted, labels = targets(rows, "val")[at], len(rows.task.kind.labels)
                answers = ours.answers[task][:, at], theirs.answers[task][:, at]
                difference = paired_bootstrap(rows.task.metric, wanted, answers[0], answers[1], labels)
                found.append((ours.candidate.name, theirs.candidate.name, task, difference))
    adjusted = holm([line[3].p for line in found])
    return [Line(*line, p) for line, p in zip(found, adjusted, strict=True)]
