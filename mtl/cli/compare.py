"""`mtl compare`: every row against a named baseline, paired by seed, with tests a reviewer accepts."""

import argparse

from mtl.cli import parents
from mtl.cli.output import add_options, form_of, names, pairs, put_out, read_both

EXAMPLE = """example:
  mtl compare chinese --baseline weighting=equal
  mtl compare chinese --baseline prompt=none,weighting=equal --metric zh_pos,delta_m --output tests.tex

each row is compared with the row that has the baseline's values and is otherwise the same; seeds are the pairs
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command's options."""
    parser = subparsers.add_parser(
        "compare",
        help="paired tests against a baseline",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[parents.runs()],
    )
    parser.add_argument("experiment", help="name of the experiment in the record")
    parser.add_argument("--baseline", required=True, metavar="KEY=VALUE[,...]", help="such as weighting=equal")
    parser.add_argument(
        "--by", type=names, help="what names a row, as --rows of mtl table (default: prompt, weighting, the baseline's)"
    )
    parser.add_argument(
        "--metric", type=names, help="columns as in mtl table (default: the primary metric of every task)"
    )
    add_options(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the comparisons, and write them where --output says."""
    baseline = pairs(args.baseline)
    from mtl.reporting.compare import compare
    from mtl.reporting.comparison_layout import lay_out, render
    from mtl.reporting.terminal import to_text

    runs, everything = read_both(args)
    found = compare(runs, baseline, args.by, args.metric, baselines=everything)
    form = form_of(args)
    text = render(found, form, percent=args.percent)
    put_out(text, lambda: to_text(lay_out(found, percent=args.percent), colour=True), form, args)
    return 0
