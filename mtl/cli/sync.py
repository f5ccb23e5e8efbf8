"""`mtl sync`: bring to the store what runs kept in their folders while it was away."""

import argparse
import sys
from pathlib import Path

from mtl.errors import MtlError

USUAL = ("outputs", "multirun")
DESCRIPTION = f"""Bring to the store (MLflow's database or server) what it has not taken yet.

A run writes all that it records line by line into a spool, the file spool.jsonl in its
folder under {" or ".join(USUAL)}, and delivers from there while it trains. Where the store was
away when the run ended, the rest waits in the spool, and this command delivers it: each
point arrives once, however often it is called. A spool that is delivered to its end is
removed; what the store refuses stays, as spool.refused.jsonl. Runs that are training
deliver themselves."""
EXAMPLE = """examples:
  mtl sync                                             # all that waits in this folder
  mtl sync outputs/2026-01-31                          # the runs of a day
  mtl sync multirun --uri http://127.0.0.1:5000        # to another store

The exit code is 1 where something still waits or was refused."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Say what the subcommand takes."""
    parser = commands.add_parser(
        "sync",
        help="deliver what runs recorded while the store was away",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders",
        metavar="FOLDER",
        nargs="*",
        type=Path,
        help=f"of runs or sweeps, searched to any depth (default: {' and '.join(USUAL)}, and where runs were kept)",
    )
    parser.add_argument("--uri", help="deliver to this store, not to the one that the run was recorded for")
    return parser


def run(args: argparse.Namespace) -> int:
    """Deliver; 1 where something still waits or was refused."""
    from rich.console import Console
    from rich.progress import track

    from mtl.tracking.pending import sync
    from mtl.tracking.spool import points

    found = spools(args.folders)
    if not found:
        print("nothing waits: all runs are delivered")
        return 0
    console = Console(stderr=True)
    shown = track(
        found, "delivering", console=console, transient=True, disable=len(found) < 3 or not console.is_terminal
    )
    code = 0
    for folder in shown:
        done = sync(folder, args.uri)
        if done.waits:
            print(f"mtl: {done.name}: {points(folder)} points wait in {folder}: {done.waits}", file=sys.stderr)
        else:
            print(f"{done.name}: {done.points} points delivered, run {done.run_id}", flush=True)
        for reason in done.refused:
            print(f"mtl: {done.name}: the store refused a write: {reason} (kept in {folder})", file=sys.stderr)
        code = 1 if done.waits or done.refused else code
    return code


def spools(folders: list[Path]) -> list[Path]:
    """Folders with a spool below `folders`; without any named, below the usual ones and those of the index."""
    from mtl.tracking.pending import pending
    from mtl.tracking.spool import NAME

    for folder in folders:
        if not folder.is_dir():
            raise MtlError(f"folder: there is no folder {folder}")
    below = folders or [Path(name) for name in USUAL]
    found = {path.parent.resolve(): None for folder in below for path in sorted(folder.rglob(NAME))}
    if not folders:
        found |= dict.fromkeys(folder.resolve() for folder in pending())
    return list(found)
