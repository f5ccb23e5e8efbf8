"""The `mtl` command: heavy imports happen inside the subcommand that needs them."""

import argparse
import signal
import sys
from collections.abc import Sequence

import mtl
from mtl.cli import (
    compare,
    context_switch,
    design,
    figure,
    predict,
    prompt,
    register,
    report,
    reproduce,
    switches,
    sync,
    table,
    ui,
)
from mtl.cli.parser import Parser
from mtl.errors import ASKED_WRONGLY, MtlError

TRAIN_HELP = "train one run, or a sweep with -m; overrides as in Hydra: `mtl train --help` lists every option"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit code: 0 done, 1 failed, 2 asked wrongly, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(_run(words))
    except MtlError as error:
        print(f"mtl: {error}", file=sys.stderr)
        sys.exit(ASKED_WRONGLY)
    except KeyboardInterrupt:
        print("mtl: interrupted", file=sys.stderr)
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="mtl",
        description="Multi-task learning: prompts, switching and weighting, trained, recorded and compared.",
        epilog="Example: mtl train -m prompt=none,keyword weighting=equal,uncertainty seed=0,1 && mtl table mtl",
    )
    parser.add_argument("--version", action="version", version=f"mtl {mtl.__version__}")
    return parser


def _run(words: list[str]) -> int:
    if words[:1] == ["train"]:
        from mtl.cli.train import train

        return train(words[1:])
    parser = _parser()
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("train", help=TRAIN_HELP, add_help=False)
    parts = {
        "table": table,
        "compare": compare,
        "context-switch": context_switch,
        "design": design,
        "figure": figure,
        "predict": predict,
        "prompt": prompt,
        "register": register,
        "report": report,
        "reproduce": reproduce,
        "switches": switches,
        "sync": sync,
        "ui": ui,
    }
    parsers = {name: part.add_parser(commands) for name, part in parts.items()}
    if words and words[0] in parts:
        # intermixed: options may stand between a run's id and the texts
        return parts[words[0]].run(parsers[words[0]].parse_intermixed_args(words[1:]))
    parser.parse_args(words)
    return 0
