"""`mtl prompt export`: the learned prompts of a recorded run as a file of ours, or as folders that peft loads."""

import argparse
from pathlib import Path

from mtl.cli import parents
from mtl.errors import MtlError

NAMES = {"mtl": "prompt.safetensors", "peft": "peft"}
EXAMPLE = """examples:
  mtl prompt export RUN_ID
  mtl predict prompt.safetensors "这本书很好"
  mtl prompt export RUN_ID --format peft --output adapters
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Say what the subcommand takes."""
    parser = commands.add_parser(
        "prompt",
        help="save the learned prompts of a run",
        description="Write what a run trained around a frozen trunk, prompts and heads, to a file of its own; or, for "
        "peft.PeftModel.from_pretrained, a folder for each task (learned prompts) or one folder (LoRA).",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[parents.store()],
    )
    parser.add_argument("action", choices=["export"], help="export: write it")
    parser.add_argument("model", metavar="MODEL", help="as of `mtl predict`: a run id, a checkpoint, a model")
    parser.add_argument("--format", choices=list(NAMES), default="mtl", help="default: %(default)s")
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help=f"a file {NAMES['mtl']} or, for peft, a folder {NAMES['peft']}"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the file or the folders."""
    from mtl.cli import peft_folder, prompt_file
    from mtl.cli.predict import find, load_model
    from mtl.data.task import Task

    output: Path = args.output or Path(NAMES[args.format])
    if (output.suffix == ".safetensors") != (args.format == "mtl"):
        wanted = "end in .safetensors" if args.format == "mtl" else "be a folder for --format peft"
        raise MtlError(f"output should {wanted}. Found '{output}'")
    parts = load_model(find(args.model, args.uri))
    if args.format == "peft":
        tasks = {state["name"]: Task.from_state(state) for state in parts.payload["tasks"]}  # whatever the head
        for folder in peft_folder.write(output, parts.model, tasks, parts.payload["config"]):
            size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
            print(f"{folder}: {size / 1024:.1f} KiB")
        return 0
    output.parent.mkdir(parents=True, exist_ok=True)
    prompt_file.write(output, parts.model, parts.payload)
    print(f"{output}: {output.stat().st_size / 1024:.1f} KiB")
    return 0
