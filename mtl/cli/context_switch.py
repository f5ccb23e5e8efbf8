"""`mtl context-switch`: what turns of another task before a row do to a decoder's answers."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.cli import parents
from mtl.cli.output import FORMATS, FORMS
from mtl.errors import MtlError

if TYPE_CHECKING:
    from mtl.cli.predict import Loaded
    from mtl.data.task import LabelledRows
    from mtl.training.context_switch import Job

EPILOG = """examples:
  mtl train 'task=[en_topic,en_author]' trunk=smollm2 head=cloze head.bias=true optimizer.lr=0 steps=1    # zero-shot
  mtl train 'task=[./reviews.yaml,./topics.yaml]' trunk=hf_decoder trunk.name=FOLDER trunk.tuning=lora head=cloze
  mtl context-switch 4f1c                             # the first letters of the run's id, or its name
  mtl context-switch 4f1c --turns 1,2,4,8 --rows 200 --output page.html

A history of L turns is L rows of one task's training split, announced as the run announces them, each with its true
label and a line break. Behind it stands a row of the split that is scored. Nothing is generated: answers are the labels
with the most probable words.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Say what the subcommand takes."""
    parser = commands.add_parser(
        "context-switch",
        help="how a decoder answers each task after turns of another one in its context",
        description="Scores each task of a run (trunk=hf_decoder head=cloze) after turns of each task, its own too: "
        "performance change, zero-shot, confidence and loss sensitivity (Gupta et al. 2024), the cost of the switch "
        "against turns of the task's own, and format failures. The table is printed; a page with heat maps is written "
        "here and attached to the run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[parents.store()],
    )
    parser.add_argument("run", metavar="RUN", help="run id (its first letters are enough) or the name of a run")
    parser.add_argument("--turns", default="1,3,6", help="lengths of the histories (default: %(default)s)")
    parser.add_argument("--rows", default="64", help="rows that are scored of each task (default: %(default)s)")
    parser.add_argument("--split", default="test", help="where they come from: test or val (default: %(default)s)")
    parser.add_argument("--seed", default="0", help="of the choice of rows and histories (default: %(default)s)")
    parser.add_argument(
        "--format",
        choices=FORMS,
        default="text",
        help="of the table that is printed (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="file to write: a page (.html), or the table (.csv, .md, .tex) (default: context-switch-RUN.html in this "
        "folder)",
    )
    parser.add_argument("--no-record", action="store_true", help="don't attach the file to the run")
    return parser


def run(args: argparse.Namespace) -> int:
    """Load, score, print, write, attach."""
    turns = [_whole("turns", part, 1) for part in args.turns.split(",")]
    rows, seed = _whole("rows", args.rows, 1), _whole("seed", args.seed, 0)
    if args.split not in ("test", "val"):
        raise MtlError(f"split should be test or val. Found '{args.split}'")
    if args.output and args.output.suffix not in FORMATS:
        raise MtlError(f"output should end in .html, .csv, .md or .tex. Found '{args.output}'")

    from mtl.cli.predict import load_model
    from mtl.reporting.context_switch.layout import render
    from mtl.reporting.context_switch.page import headline, page
    from mtl.tracking.artifacts import checkpoint_of
    from mtl.tracking.attach import attach
    from mtl.tracking.one_run import one_run
    from mtl.tracking.store import tracking_uri
    from mtl.training.context_switch import Asked, measure

    uri = tracking_uri(args.uri)
    found = one_run(uri, args.run)
    loaded = load_model(checkpoint_of(uri, found.run_id))
    _check(found.run_id[:8], loaded)
    asked = Asked(turns, rows, args.split, seed)
    length = loaded.payload["config"]["data"]["max_length"]
    lines = measure(loaded.model, _rows(loaded), loaded.prompt, loaded.vocabulary, length, asked, _watched)
    out = args.output or Path(f"context-switch-{found.run_id[:8]}.html")
    if out.suffix == ".html":
        written = page(lines, run_id=found.run_id, name=found.name, split=args.split, seed=seed)
    else:
        written = render(lines, FORMATS[out.suffix])
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(written, encoding="utf-8")
    except OSError as error:
        raise MtlError(f"output: {out} cannot be written: {error.strerror}") from error
    print(render(lines, args.format), end="")
    print(f"{headline(lines)}\nwritten to {out}", file=sys.stderr)
    if not args.no_record:
        attach(uri, found.run_id, [out], "context_switch")
        print(f"attached to run {found.run_id}, under context_switch/", file=sys.stderr)
    return 0


def _whole(field: str, text: str, least: int) -> int:
    if not text.strip().isdecimal() or int(text) < least:
        what = "whole numbers" if field == "turns" else "a whole number"
        raise MtlError(f"{field} should be {what} of at least {least}. Found '{text}'")
    return int(text)


def _check(run: str, loaded: "Loaded") -> None:
    """MtlError for a run that has no answers in words after a text, or only one task."""
    if loaded.model.generation is not None:
        raise MtlError(
            f"run {run} says its answers; mtl context-switch scores label words: "
            "train it with trunk=hf_decoder head=cloze"
        )
    if loaded.model.cloze is None:
        raise MtlError(
            f"run {run} answers with linear heads, which read no conversation; "
            "train it with trunk=hf_decoder head=cloze"
        )
    if not loaded.model.trunk.causal:
        raise MtlError(
            f"run {run} fills in a mask: its trunk is an encoder. mtl context-switch needs a decoder, trunk=hf_decoder"
        )
    if len(loaded.tasks) < 2:
        raise MtlError(f"run {run} has one task, {', '.join(loaded.tasks)}: there is nothing to switch between")


def _rows(loaded: "Loaded") -> "dict[str, LabelledRows]":
    """The rows of the run's tasks, read again; MtlError where their labels are others now."""
    from mtl.cli.build import make_specs

    found = {name: spec.load() for name, spec in make_specs(loaded.payload["config"]).items()}
    for name, rows in found.items():
        if rows.task.kind != loaded.tasks[name].kind:
            trained = list(loaded.tasks[name].kind.labels)
            raise MtlError(f"task {name}: the run knows the labels {trained}. Found {list(rows.task.kind.labels)}")
    return found


def _watched(jobs: "Sequence[Job]") -> "Iterable[Job]":
    """A bar on a terminal; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(jobs, "context-switch", console=console, transient=True, disable=not console.is_terminal)
