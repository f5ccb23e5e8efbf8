"""`python -m mtl.cli.beside`: a further process of a run. It trains and measures its rows, and records nothing."""

import json
import os
import sys
import threading
from pathlib import Path

from mtl.errors import ASKED_WRONGLY, MtlError


def main() -> None:
    """Read the run from standard input, take part in it, and leave with code 0 done, 1 failed, 2 asked wrongly."""
    told = json.loads(sys.stdin.readline())
    threading.Thread(target=_leave_with_the_first, daemon=True).start()
    try:
        take_part(told["config"], Path(told["folder"]), told["port"], told["rank"])
    except MtlError as error:
        print(f"mtl: {error}", file=sys.stderr)
        sys.exit(ASKED_WRONGLY)


def take_part(config: dict, folder: Path, port: int, rank: int) -> None:
    """All that the first process does with Lightning, for its rows: fit, the last validation, test.

    Args:
        config: resolved, as plain data.
        folder: of the run.
        port: of the first process's store.
        rank: of this process.
    """
    from mtl.cli.build import build, make_specs
    from mtl.cli.once import fit, make_trainer, settle, watching
    from mtl.cli.processes import meet
    from mtl.cli.validations import Validations
    from mtl.training.loaders import EvaluationLoader

    settle(config)
    run, validations = build(config, make_specs(config)), Validations()
    meet(port, rank, config["trainer"]["devices"])
    trainer = make_trainer(config, run.plan.steps, [*watching(run), validations], folder, rank)
    fit(config, run, trainer, folder, validations)
    trainer.test(run.module, EvaluationLoader(run.tasks, "test"), verbose=False)


def _leave_with_the_first() -> None:
    """Standard input closes when the first process ends, in whichever way."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
