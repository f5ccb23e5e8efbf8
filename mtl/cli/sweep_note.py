"""A sweep in words: the name of its parent run, and the description with its table that MLflow's page of it shows."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mtl.cli.describe import say
from mtl.errors import MtlError

if TYPE_CHECKING:
    from mtl.tracking.recorder import Recorder

ROWS = ["prompt", "weighting"]
_BRACKETED = re.compile(r"\[[^\]]*\]|\{[^}]*\}")
_SEVERAL = re.compile(r",|^(range|choice|interval|glob)\(")


def swept(words: Sequence[str]) -> list[str]:
    """Names of what takes several values: `["prompt=none,keyword", "task=[a,b]", "seed=0,1"]` -> prompt, seed."""
    pairs = [word.lstrip("+").partition("=") for word in words]
    return [key for key, _, value in pairs if _SEVERAL.search(_BRACKETED.sub("", value))]


def sweep_name(words: Sequence[str]) -> str:
    """`sweep of prompt x weighting x seed`."""
    return f"sweep of {' x '.join(swept(words)) or 'one job'}"


def note_table(parent: "Recorder", words: Sequence[str], command: str) -> None:
    """Put the sweep's table (first: MLflow folds long descriptions) and its command on its parent run's page.

    Whatever goes wrong here, the sweep ends as it would have ended.
    """
    rows = [name for name in swept(words) if name not in ("seed", "task", "switching.task")] or ROWS
    experiment = parent.store.experiment
    try:
        page = _table(parent.store.uri, experiment, parent.run_id, rows)
        again = f"`mtl table {experiment} --sweep {parent.run_id[:8]} --rows {','.join(rows)}`"
        said = [page, f"The same table: {again}"]
    except MtlError as error:
        said = [f"No table: {error}"]
    except Exception as error:
        say(f"the sweep's table is not in its description: {error}")
        return
    parent.tags({"mlflow.note.content": "\n\n".join([*said, f"Its runs: `mtl train -m {command}`"])})


def _table(uri: str, experiment: str, parent: str, rows: Sequence[str]) -> str:
    from mtl.reporting.cells import summarise
    from mtl.reporting.formats import render
    from mtl.tracking.runs import read_runs

    everything = read_runs(uri, experiment)
    runs = read_runs(uri, experiment, sweep=parent)
    return render(summarise(runs, list(rows), None, baselines=everything), "markdown")
