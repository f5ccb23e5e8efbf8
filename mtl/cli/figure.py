"""`mtl figure`: the runs of an experiment as a figure, in the files of a paper."""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.cli import parents
from mtl.cli.output import names
from mtl.errors import MtlError, choices

if TYPE_CHECKING:
    import pandas as pd

HELP = """kinds:
  weights   task weights over the steps           losses    losses and scores by task over the steps
  conflict  cosines of task gradients             front     two tasks' scores, and what no other dominates
  ranks     critical-difference diagram           sweep     heat map of one score over two choices
  parallel  parallel coordinates of choices and scores

example:
  mtl figure weights chinese --sweep last --width column
  mtl figure sweep chinese --by prompt,weighting --metric zh_pos/f1 --output figures/prompts.pdf
"""
FORMATS = ("png", "svg", "pdf")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command's options."""
    parser = subparsers.add_parser(
        "figure",
        help="weights, losses, conflicts, fronts, ranks and sweeps as a figure",
        description=__doc__,
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[parents.runs()],
    )
    parser.add_argument("kind", metavar="KIND", help="what to draw, see below")
    parser.add_argument("experiment", metavar="EXPERIMENT", help="name of the experiment in the record")
    parser.add_argument("--runs", type=names, default=[], help="only these runs, by the beginnings of their ids")
    parser.add_argument(
        "--by",
        type=names,
        default=[],
        help="what tells configurations apart: prompt, weighting, switching, trunk, tasks or parameters such as "
        "optimizer.lr (default: those of the first five that vary)",
    )
    parser.add_argument("--task", type=names, default=[], help="only these tasks (front: the two axes)")
    parser.add_argument("--metric", help="loss, accuracy ...; sweep and parallel: one score such as zh_pos/f1, delta_m")
    parser.add_argument("--band", default="se", help="se (standard error over seeds, default) or range")
    parser.add_argument("--over-time", action="store_true", help="conflict: cosines over the steps")
    parser.add_argument("--alpha", type=float, default=0.05, help="ranks: level of the test (default: %(default)s)")
    parser.add_argument("--width", default="page", help="column (3.4 inches) or page (7 inches, default)")
    parser.add_argument(
        "--format", type=names, default=[], help="of png, svg, pdf (default: by --output, else png,pdf)"
    )
    parser.add_argument(
        "--output", dest="out", type=Path, help="file to write (default: KIND-EXPERIMENT in this folder)"
    )
    parser.add_argument("--record", action="store_true", help="attach the files to the sweep's run, or to the one run")
    return parser


def run(args: argparse.Namespace) -> int:
    """Draw, write, and say what is shown and where it is."""
    from mtl.drawing import figure
    from mtl.reporting.figures import KINDS
    from mtl.reporting.usable import with_baselines
    from mtl.tracking.attach import attach
    from mtl.tracking.runs import read_runs, sweep_run
    from mtl.tracking.store import tracking_uri

    if args.kind not in KINDS:
        raise MtlError(f"there is no figure '{args.kind}'. Kinds: {choices(KINDS)}")
    uri = tracking_uri(args.uri)
    files = _files(args.out, args.format, args.kind, args.experiment)
    everything = read_runs(uri, args.experiment)
    chosen = read_runs(uri, args.experiment, sweep=args.sweep) if args.sweep else everything
    chosen = _only(chosen, args.runs) if args.runs else chosen
    target = _target(args, chosen, lambda: sweep_run(uri, args.experiment, args.sweep)) if args.record else ""
    frame = with_baselines(chosen, everything)
    frame.attrs["uri"] = uri
    drawing = figure(
        args.kind,
        frame,
        by=args.by,
        tasks=args.task,
        metric=args.metric,
        band=args.band,
        width=args.width,
        over_time=args.over_time,
        alpha=args.alpha,
    )
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    for file in files:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            drawing.savefig(file)
        except OSError as error:
            raise MtlError(f"out: {file} cannot be written: {error.strerror}") from error
    print(drawing.get_label())
    print(f"written to {', '.join(map(str, files))}")
    if target:
        attach(uri, target, files, "figures")
        print(f"attached to run {target}, under figures/")
    return 0


def _files(out: Path | None, formats: list[str], kind: str, experiment: str) -> list[Path]:
    """One file a format."""
    out = out or Path(f"{kind}-{experiment.replace('/', '_')}")
    suffix = out.suffix[1:].lower()
    formats = formats or ([suffix] if suffix else ["png", "pdf"])
    for form in formats:
        if form not in FORMATS:
            raise MtlError(f"format should be of {choices(FORMATS)}. Found '{form}'")
    stem = out.with_suffix("") if suffix in FORMATS else out
    return [stem.with_name(f"{stem.name}.{form}") for form in formats]


def _only(runs: "pd.DataFrame", starts: list[str]) -> "pd.DataFrame":
    for start in starts:
        if not runs["run_id"].str.startswith(start).any():
            raise MtlError(f"runs: there is no run {start} among the {len(runs)} of the experiment or sweep")
    return runs[runs["run_id"].str.startswith(tuple(starts))]


def _target(args: argparse.Namespace, chosen: "pd.DataFrame", sweep: Callable[[], str]) -> str:
    """The run that the files are attached to."""
    if args.sweep:
        return sweep()
    if len(chosen) != 1:
        raise MtlError(f"record: {len(chosen)} runs are shown; name their sweep with --sweep, or one run with --runs")
    return str(chosen["run_id"].iloc[0])
