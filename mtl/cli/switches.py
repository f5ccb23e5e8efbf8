"""`mtl switches`: what switching cost in a run, as one page."""

import argparse
from pathlib import Path

from mtl.cli import parents
from mtl.errors import MtlError

EPILOG = """examples:
  mtl train switching=round_robin probe=switching
  mtl switches 4f1c                                   # the first letters of the run's id
  mtl switches "none x equal x round_robin, seed 0" --output page.html
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Say what the subcommand takes."""
    parser = commands.add_parser(
        "switches",
        help="what switching between tasks cost in a run, as one HTML page",
        description="Costs of switches, interference, affinity, conflict, recovery and where the time went, of a run "
        "that was trained with probe=switching. The page is written here and attached to the run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[parents.store()],
    )
    parser.add_argument("run", metavar="RUN", help="run id (its first letters are enough) or the name of a run")
    parser.add_argument(
        "--output", dest="out", type=Path, help="file to write (default: switches-RUN.html in this folder)"
    )
    parser.add_argument("--no-record", action="store_true", help="don't attach the page to the run")
    return parser


def run(args: argparse.Namespace) -> int:
    """Read, draw, write, attach."""
    from mtl.functional.switch_summary import summarise
    from mtl.functional.switch_trace import Trace
    from mtl.reporting.switches import headline, page
    from mtl.tracking.attach import attach
    from mtl.tracking.history import read_history
    from mtl.tracking.one_run import one_run, read_text
    from mtl.tracking.store import tracking_uri
    from mtl.training.probe import FILE

    uri = tracking_uri(args.uri)
    found = one_run(uri, args.run)
    text = read_text(uri, found.run_id, FILE)
    if text is None:
        if found.status != "FINISHED" and "probe._target_" in found.params:
            raise MtlError(f"run {found.run_id[:8]} is {found.status}: its probe is recorded when it ends")
        raise MtlError(
            f"run {found.run_id[:8]} ({found.name}) was trained without the probe; "
            "`mtl train ... probe=switching` switches it on"
        )
    summary = summarise(Trace.from_json(text))
    wanted = [name for name in found.metrics if name.startswith(("train/", "val/")) and name.count("/") == 2]
    history = read_history(uri, [found.run_id], wanted)
    curves = {
        str(metric): (part["step"].tolist(), part["value"].tolist()) for metric, part in history.groupby("metric")
    }
    out = args.out or Path(f"switches-{found.run_id[:8]}.html")
    html = page(found.run_id, found.name, found.tags, summary, curves)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(html, encoding="utf-8")
    except OSError as error:
        raise MtlError(f"out: {out} cannot be written: {error.strerror}") from error
    print(headline(summary))
    print(f"written to {out}")
    if not args.no_record:
        attach(uri, found.run_id, [out], "switching")
        print(f"attached to run {found.run_id}, under switching/")
    return 0
