"""A sweep as one parent run, whichever launcher starts its jobs: they find its id in the sweep's folder."""

import contextlib
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

if TYPE_CHECKING:
    from omegaconf import DictConfig

PARENT = ".mtl-parent"
_open = ExitStack()


class SweepRecord(Callback):
    """Begins the parent run when a sweep begins."""

    def on_multirun_start(self, config: "DictConfig", **_: Any) -> None:
        """Make the parent run and leave its id for the jobs."""
        from mtl.tracking.earlier import at_work, end_abandoned
        from mtl.tracking.recorder import parent_run
        from mtl.tracking.store import open_store, tracking_uri

        tracking = config.tracking
        folder = Path(config.hydra.sweep.dir).resolve()
        store = open_store(tracking_uri(tracking.uri), tracking.experiment)
        end_abandoned(store)
        params = (config.hydra.sweeper.params or {}).items()
        words = " ".join([*config.hydra.overrides.task, *(f"{key}={value}" for key, value in params)])
        tags = {"mtl.overrides": words[:5000], "mlflow.note.content": f"`mtl train -m {words}`"}
        _open.enter_context(at_work(folder))
        parent = _open.enter_context(parent_run(store, f"sweep {folder.name}", {**tags, "mtl.folder": str(folder)}))
        (folder / PARENT).write_text(parent.run_id, encoding="utf-8")
        print(f"sweep {parent.run_id} in experiment {tracking.experiment}", flush=True)


@contextlib.contextmanager
def closing() -> Generator[None, None, None]:
    """End the parent run however the sweep ends."""
    try:
        yield
    finally:
        _open.__exit__(*sys.exc_info())


def parent_of(folder: Path | None) -> str | None:
    """Run id of the sweep's parent, for a job whose sweep has this folder."""
    if folder is None or not (folder / PARENT).exists():
        return None
    return (folder / PARENT).read_text(encoding="utf-8")
