"""What the commands that print tables have in common: options, reading, writing."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.errors import MtlError

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".html": "html"}
"""What a file's ending says."""
FORMS = ("text", *FORMATS.values())
"""What `--format` takes."""


def names(text: str) -> list[str]:
    """`a,b` as a list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def add_options(parser: argparse.ArgumentParser) -> None:
    """How the table is written."""
    parser.add_argument(
        "--format",
        choices=FORMS,
        help="default: by the ending of --output, else text",
    )
    parser.add_argument("--output", type=Path, help="write the table to this file as well")
    parser.add_argument(
        "--percent",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="accuracy, F1, precision and recall in percent",
    )


def read_both(args: argparse.Namespace) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """The runs that were asked for, and all of the experiment: a sweep's baselines may have been trained before it."""
    from mtl.tracking.runs import runs

    found = runs(args.experiment, args.uri, args.sweep)
    return found, runs(args.experiment, args.uri) if args.sweep else found


def pairs(text: str) -> dict[str, str]:
    """`weighting=equal,prompt=none` as a baseline."""
    found = [part.partition("=") for part in names(text)]
    if not found or not all(key and equals and value for key, equals, value in found):
        raise MtlError(f"baseline should be key=value, such as weighting=equal. Found '{text}'")
    return {key: value for key, _, value in found}


def form_of(args: argparse.Namespace) -> str:
    """The format that was asked for, or that the output's ending says."""
    return args.format or (FORMATS.get(args.output.suffix, "text") if args.output else "text")


def put_out(text: str, coloured: Callable[[], str], form: str, args: argparse.Namespace) -> None:
    """Print it, in colour on a terminal, and write it where --output says."""
    colour = form == "text" and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(coloured() if colour else text, end="")
    if args.output:
        try:
            args.output.parent.mkdir(parents=True, exist_ok=True)
            args.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise MtlError(f"output: {args.output} cannot be written: {error.strerror}") from error
        print(f"written to {args.output}", file=sys.stderr)
