"""`mtl table`: the runs of an experiment as a table of means and standard errors over seeds."""

import argparse
import os
import sys
from pathlib import Path

from mtl.errors import MtlError

EXAMPLE = """example:
  mtl table chinese --rows prompt,weighting --sweep last
  mtl table chinese --rows weighting,optimizer.lr --columns zh_pos,val/zh_ner/f1,delta_m --output table.tex
"""
FORMATS = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".html": "html"}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command's options."""
    parser = subparsers.add_parser(
        "table",
        help="means and standard errors over seeds",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", help="name of the experiment in the record")
    parser.add_argument(
        "--rows",
        type=_names,
        default=["prompt", "weighting"],
        help="prompt, weighting, switching, trunk, tasks, seed or parameters such as optimizer.lr (default: "
        "prompt,weighting); single-task runs are rows where switching or tasks is among them",
    )
    parser.add_argument(
        "--columns",
        type=_names,
        help="metrics such as zh_pos/accuracy (test) or val/zh_pos/loss, tasks, delta_m, rank "
        "(default: the primary metric of every task, delta_m, rank)",
    )
    parser.add_argument(
        "--format",
        choices=["text", "markdown", "latex", "csv", "html"],
        help="default: by the ending of --output, else text",
    )
    parser.add_argument("--output", type=Path, help="write the table to this file as well")
    parser.add_argument("--sweep", metavar="last|RUN_ID", help="only the runs of one sweep")
    parser.add_argument("--digits", type=int, help="after the point (default: two significant ones of standard error)")
    parser.add_argument(
        "--percent",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="accuracy, F1, precision and recall in percent",
    )
    parser.add_argument("--uri", help="of the record (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the table, and write it where --output says."""
    from mtl.reporting.cells import summarise
    from mtl.reporting.formats import render
    from mtl.reporting.layout import lay_out
    from mtl.reporting.terminal import to_text
    from mtl.tracking.runs import read_runs
    from mtl.tracking.store import tracking_uri

    uri = args.uri or tracking_uri()
    runs = read_runs(uri, args.experiment, sweep=args.sweep)
    # the baselines of a sweep may have been trained before it
    everything = read_runs(uri, args.experiment) if args.sweep else runs
    table = summarise(runs, args.rows, args.columns, baselines=everything)
    form = args.format or (FORMATS.get(args.output.suffix, "text") if args.output else "text")
    text = render(table, form, digits=args.digits, percent=args.percent)
    if form == "text" and sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        print(to_text(lay_out(table, digits=args.digits, percent=args.percent), colour=True), end="")
    else:
        print(text, end="")
    if args.output:
        try:
            args.output.parent.mkdir(parents=True, exist_ok=True)
            args.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise MtlError(f"output: {args.output} cannot be written: {error.strerror}") from error
        print(f"written to {args.output}", file=sys.stderr)
    return 0


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
