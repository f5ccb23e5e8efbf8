"""Options that several commands have in common, each declared once (argparse's `parents`)."""

import argparse


def store() -> argparse.ArgumentParser:
    """Which record: `--uri`."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--uri", help="of the record (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)")
    return parser


def runs() -> argparse.ArgumentParser:
    """Which runs of it: `--sweep`, `--uri`."""
    parser = argparse.ArgumentParser(add_help=False, parents=[store()])
    parser.add_argument("--sweep", metavar="last|RUN_ID", help="only the runs of one sweep")
    return parser
