"""`mtl prompt export`: the learned prompts of a recorded run as a file."""

import argparse
from pathlib import Path

from mtl.errors import MtlError

NAME = "prompt.safetensors"
EXAMPLE = """examples:
  mtl prompt export RUN_ID
  mtl predict prompt.safetensors "这本书很好"
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Say what the subcommand takes."""
    parser = commands.add_parser(
        "prompt",
        help="save the learned prompts of a run",
        description="Write what a run trained around a frozen trunk, prompts and heads, to a file of its own.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=["export"], help="export: write the file")
    parser.add_argument("model", metavar="MODEL", help="as of `mtl predict`: a run id, a checkpoint, a model")
    parser.add_argument("--output", type=Path, default=Path(NAME), metavar="FILE", help="default: %(default)s")
    parser.add_argument("--uri", help="the store (default: MLFLOW_TRACKING_URI, else mlflow.db in this folder)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the file."""
    from mtl.cli.predict import find, load_model
    from mtl.cli.prompt_file import write

    if args.output.suffix != ".safetensors":
        raise MtlError(f"output should end in .safetensors. Found '{args.output}'")
    parts = load_model(find(args.model, args.uri))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    write(args.output, parts.model, parts.payload)
    print(f"{args.output}: {args.output.stat().st_size / 1024:.1f} KiB")
    return 0
