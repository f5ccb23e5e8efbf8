"""`mtl ui`: MLflow's pages on the store that the runs went to."""

import argparse
import sys

from mtl.cli import parents


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Say what the subcommand takes."""
    parser = commands.add_parser(
        "ui",
        help="open MLflow on the store that the runs went to",
        description="Serve MLflow's pages at http://HOST:PORT until Ctrl-C. No password: keep it on this machine.",
        parents=[parents.store()],
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at (default: %(default)s)")
    parser.add_argument("--port", default=5000, type=int, help="port to serve at (default: %(default)s)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Start the server and wait for it."""
    import subprocess

    from mtl.errors import MtlError
    from mtl.tracking.store import database, tracking_uri

    uri = tracking_uri(args.uri)
    path = database(uri)
    if path is not None and not path.exists():
        raise MtlError(f"there is no store at {path}; `mtl train` makes one, --uri names another")
    if uri.startswith(("http://", "https://")):
        print(f"the store is a server: open {uri}")
        return 0
    print(f"serving {uri} at http://{args.host}:{args.port} (Ctrl-C stops it)", flush=True)
    print("choose 'Model training' at the upper left: MLflow opens with its pages for language models", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    try:
        return subprocess.run([*command, "--host", args.host, "--port", str(args.port)], check=False).returncode
    except KeyboardInterrupt:
        return 0
