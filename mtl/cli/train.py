"""`mtl train`: one run, or the jobs of a sweep, from configuration to record."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.cli.conf import conf_dir, with_files
from mtl.errors import MtlError

if TYPE_CHECKING:
    from omegaconf import DictConfig


_errors: list[MtlError] = []


def train(overrides: Sequence[str]) -> int:
    """Hand the overrides to Hydra, which composes the configuration and calls `job`, once or for each of a sweep."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from mtl.cli.sweep import NoParentError, closing

    full = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # we show errors ourselves, in one line
    with with_files(overrides) as words, closing():
        sys.argv = ["mtl train", *words]
        GlobalHydra.instance().clear()
        try:
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)()
        except (HydraException, OmegaConfBaseException) as error:
            if full:
                raise
            cause = f": {error.__cause__}" if isinstance(error.__cause__, OmegaConfBaseException) else ""
            raise MtlError(_lines(f"{error}{cause}")) from error
        except NoParentError as stop:
            raise stop.error from None
        finally:
            os.environ["HYDRA_FULL_ERROR"] = full or ""
        if _errors:
            raise _errors.pop()
    return 0


def _lines(message: str) -> str:
    """The message without empty lines and without Hydra's search path."""
    kept = [line.rstrip() for line in message.splitlines() if line.strip()]
    return "\n".join(line for line in kept if not line.lstrip().startswith(("provider=", "Config search path")))


def job(config: "DictConfig") -> None:
    """Train, test and record one run. A lone run's error waits in `_errors`: Hydra would print its overrides first."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from mtl.cli.describe import run_name
    from mtl.cli.once import run_once
    from mtl.cli.sweep import note_outcome

    plain: Any = OmegaConf.to_container(config, resolve=True)
    settings = HydraConfig.get()
    chosen = dict(settings.runtime.choices)
    folder, sweep = Path(settings.runtime.output_dir), sweep_folder(settings)
    outcome = "was interrupted"
    try:
        outcome = run_once(plain, chosen, folder, sweep)
    except Exception as error:
        outcome = " ".join(f"{error}".split())
        if sweep is None and isinstance(error, MtlError):
            _errors.append(error)
            return
        if sweep is not None:
            print(f"mtl: job {settings.job.num} failed: {error}", file=sys.stderr, flush=True)
        raise
    finally:
        if sweep is not None:
            note_outcome(folder, sweep, run_name(plain, chosen), outcome)


def sweep_folder(settings: Any) -> Path | None:
    """The folder of the sweep that this job belongs to."""
    return Path(settings.sweep.dir) if str(settings.mode).endswith("MULTIRUN") else None
