"""`mtl report`: an experiment as one page of HTML to share: tables, tests, figures, configurations and commands."""

import argparse
import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.cli import parents
from mtl.cli.output import names, pairs
from mtl.errors import MtlError, choices

if TYPE_CHECKING:
    import pandas as pd

EXAMPLE = """example:
  mtl report chinese --sweep last
  mtl report chinese --rows prompt,weighting --baseline weighting=equal --output chinese.html

the page needs no other file and no network; runs, errors and settings stand in it as they were recorded
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command's options."""
    parser = subparsers.add_parser(
        "report",
        help="one page of HTML about an experiment, to share",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[parents.runs()],
    )
    parser.add_argument("experiment", help="name of the experiment in the record")
    parser.add_argument("--output", type=Path, help="file to write (default: report-EXPERIMENT.html in this folder)")
    parser.add_argument("--title", help="of the page (default: the experiment's name)")
    parser.add_argument("--rows", type=names, help="as in mtl table (default: whatever varies but the seed)")
    parser.add_argument("--columns", type=names, help="as in mtl table (default: primary metrics, delta_m, rank)")
    parser.add_argument(
        "--baseline",
        metavar="KEY=VALUE[,...]",
        help="as in mtl compare (default: weighting=equal, prompt=none, switching=joint or transform=none, the first "
        "that some rows have and others not)",
    )
    parser.add_argument("--spread", choices=["se", "interval"], default="se", help="as in mtl table")
    parser.add_argument("--digits", type=int, help="as in mtl table")
    parser.add_argument(
        "--percent",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="accuracy, F1, precision and recall in percent",
    )
    parser.add_argument(
        "--figures", type=names, help="kinds as in mtl figure, or none (default: all that can be drawn)"
    )
    parser.add_argument("--appendix", type=int, default=200, metavar="N", help="runs shown one by one (%(default)s)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the page, and say what is in it and what is not."""
    wanted = _wanted(args)
    from mtl.cli.output import read_both
    from mtl.reporting.report.page import write

    runs, everything = read_both(args)
    if runs.empty:
        raise MtlError(f"experiment '{args.experiment}' has no training run to report on")
    out = args.output or Path(f"report-{args.experiment.replace('/', '_')}.html")
    values = _contents(args, runs, everything, wanted)
    page = write(values).encode(errors="backslashreplace")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(page)
    except OSError as error:
        raise MtlError(f"output: {out} cannot be written: {error.strerror}") from error
    states = ", ".join(f"{count} {word}" for word, count in values["facts"].states.items())
    print(f"{states}; {len(values['pictures'])} figures")
    for reason in filter(None, (values["no_table"] and f"table: {values['no_table']}", values["no_tests"])):
        print(f"left out: {reason}")
    for missing in values["missing"]:
        print(f"left out: {', '.join(missing.kinds)}: {textwrap.shorten(missing.reason, 200)}")
    print(f"written to {out} ({len(page) / 1000:,.0f} kB)")
    return 0


def _wanted(args: argparse.Namespace) -> Any:
    """The options, looked at before anything is read."""
    from mtl.reporting.report.page import Wanted
    from mtl.reporting.report.pictures import TITLES

    kinds = list(TITLES) if args.figures is None else [kind for kind in args.figures if kind != "none"]
    if bad := [kind for kind in kinds if kind not in TITLES]:
        raise MtlError(f"figures should be of {choices(TITLES)}, or none. Found '{bad[0]}'")
    for name in ("appendix", "digits"):
        if (value := getattr(args, name)) is not None and value < 0:
            raise MtlError(f"{name} should be 0 or more. Found {value}")
    baseline = pairs(args.baseline) if args.baseline else None
    return Wanted(args.rows, args.columns, baseline, args.spread, args.digits, args.percent, kinds, args.appendix)


def _contents(
    args: argparse.Namespace, runs: "pd.DataFrame", everything: "pd.DataFrame", wanted: Any
) -> dict[str, Any]:
    """What the page shows: what the runs say, what the store says of them, and the commands that print it again."""
    from datetime import UTC, datetime
    from functools import partial

    import mtl
    from mtl.reporting.report.commands import parents as sweeps_of
    from mtl.reporting.report.packages import to_read
    from mtl.reporting.report.page import Origin, contents
    from mtl.tracking.history import read_history
    from mtl.tracking.origin import packages_of, store_kind, sweep_tags
    from mtl.tracking.runs import sweep_run
    from mtl.tracking.store import tracking_uri

    uri = tracking_uri(args.uri)
    origin = Origin(store_kind(uri), sweep_tags(uri, sweeps_of(runs)), packages_of(uri, to_read(runs)))
    values = contents(runs, everything, wanted, partial(read_history, uri), origin)
    sweep = sweep_run(uri, args.experiment, args.sweep)[:8] if args.sweep else ""
    return values | {
        "title": args.title or args.experiment,
        "experiment": args.experiment,
        "sweep": sweep,
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "version": mtl.__version__,
        **_commands(args, values["rows"], values["baseline"], sweep),
    }


def _commands(args: argparse.Namespace, rows: list[str], baseline: str, sweep: str) -> dict[str, str]:
    """How the table, the tests and the page are made again; not where the record is."""

    def line(command: str, **options: str | None) -> str:
        given = [word for name, value in options.items() if value for word in (f"--{name}", value)]
        return shlex.join(["mtl", command, args.experiment, *given])

    def joined(values: list[str] | None) -> str | None:
        return None if values is None else ",".join(values)

    columns = joined(args.columns)
    spread = args.spread if args.spread != "se" else None
    return {
        "table_command": line("table", rows=",".join(rows), columns=columns, spread=spread, sweep=sweep),
        "compare_command": line("compare", baseline=baseline, by=",".join(rows), metric=columns, sweep=sweep),
        "report_command": line(
            "report",
            sweep=sweep,
            rows=joined(args.rows),
            columns=columns,
            baseline=args.baseline,
            spread=spread,
            figures=joined(args.figures),
        ),
    }
