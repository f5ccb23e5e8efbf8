"""`mtl table`: the runs of an experiment as a table of means and standard errors over seeds."""

import argparse

from mtl.cli import parents
from mtl.cli.output import add_options, form_of, names, put_out, read_both

EXAMPLE = """example:
  mtl table chinese --rows prompt,weighting --sweep last
  mtl table chinese --rows weighting,optimizer.lr --columns zh_pos,val/zh_ner/f1,delta_m --output table.tex
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command's options."""
    parser = subparsers.add_parser(
        "table",
        help="means and standard errors over seeds",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[parents.runs()],
    )
    parser.add_argument("experiment", help="name of the experiment in the record")
    parser.add_argument(
        "--rows",
        type=names,
        default=["prompt", "weighting"],
        help="prompt, weighting, switching, trunk, tasks, selection, seed or parameters such as optimizer.lr (default: "
        "prompt,weighting); single-task runs are rows where switching or tasks is among them",
    )
    parser.add_argument(
        "--columns",
        type=names,
        help="metrics such as zh_pos/accuracy (test) or val/zh_pos/loss, tasks, delta_m, delta_m_metrics, "
        "delta_m_tasks, rank "
        "(default: the primary metric of every task, delta_m, rank)",
    )
    parser.add_argument(
        "--spread",
        choices=["se", "interval"],
        default="se",
        help="beside a mean: its standard error, or a 95 %% bootstrap interval over seeds",
    )
    parser.add_argument(
        "--pareto", type=names, metavar="A,B", help="mark the rows that no other dominates in these two columns"
    )
    parser.add_argument("--digits", type=int, help="after the point (default: two significant ones of standard error)")
    add_options(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the table, and write it where --output says."""
    from mtl.reporting.cells import summarise
    from mtl.reporting.formats import render
    from mtl.reporting.layout import lay_out
    from mtl.reporting.terminal import to_text

    runs, everything = read_both(args)
    table = summarise(runs, args.rows, args.columns, baselines=everything, spread=args.spread, pareto=args.pareto)
    form = form_of(args)
    text = render(table, form, digits=args.digits, percent=args.percent)
    put_out(text, lambda: to_text(lay_out(table, digits=args.digits, percent=args.percent), colour=True), form, args)
    return 0
