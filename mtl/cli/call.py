"""`mtl.train`: what `mtl train` does, from a notebook or a script."""

import sys
from collections.abc import Sequence

from mtl.errors import MtlError


def train(overrides: Sequence[str] = (), *, sweep: bool = False) -> None:
    """Train one run, or the jobs of a sweep, in this process; `mtl.runs` reads what was recorded.

    Files (`outputs`, `multirun`, and `mlflow.db` unless `MLFLOW_TRACKING_URI` is set) go to the working folder. As on
    the command line, a finished run of the same identity isn't trained again.

    Args:
        overrides: the words of `mtl train`, such as `["prompt=keyword", "seed=1"]`.
        sweep: `mtl train -m`: lists of values make a job for every combination.

    Raises:
        MtlError: a wrong option or value, a missing file, a broken row; in one line that names it. The jobs of a sweep
            are all tried first; then the error of the first that failed is raised, of whichever type.
    """
    from mtl.cli import train as command

    if isinstance(overrides, str):
        raise MtlError(f"overrides should be a list of words. Found '{overrides}'")
    words = sys.argv
    try:
        command.train([*(["-m"] if sweep else []), *overrides])
    finally:
        sys.argv = words  # Hydra reads its overrides there
