"""`mtl register`: a run's model under a name in MLflow's registry."""

import argparse

from mtl.cli import parents


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Say what the subcommand takes."""
    parser = commands.add_parser(
        "register",
        help="enter a run's model in MLflow's registry",
        description="Make a run's model the next version of a registered model; a run that is one already stays it.",
        epilog="Example: mtl register RUN_ID reviews && mtl predict models:/reviews/1 TEXT",
        parents=[parents.store()],
    )
    parser.add_argument("run_id", metavar="RUN_ID", help="run id (its first letters are enough)")
    parser.add_argument("name", metavar="NAME", help="of the registered model")
    return parser


def run(args: argparse.Namespace) -> int:
    """Register."""
    from mtl.tracking.model import register
    from mtl.tracking.store import tracking_uri

    version = register(tracking_uri(args.uri), args.run_id, args.name)
    print(f"models:/{args.name}/{version}")
    return 0
