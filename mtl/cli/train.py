"""`mtl train`: one run, or the jobs of a sweep, from configuration to record."""

import contextlib
import os
import sys
import traceback
from collections.abc import Generator, Sequence
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
    from hydra._internal.utils import get_args_parser
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    from mtl.cli.comments import commented
    from mtl.cli.elsewhere import elsewhere
    from mtl.cli.sweep import NoParentError, closing

    if unknown := get_args_parser().parse_known_args(list(overrides))[1]:  # Hydra would print its usage first
        raise MtlError(f"unrecognized arguments: {' '.join(unknown)} (mtl train --help lists what there is)")
    full = os.environ.get("HYDRA_FULL_ERROR")
    asked = {"--help", "-h"} & set(overrides)
    with with_files(overrides) as words, closing(), commented(words) if asked else contextlib.nullcontext():
        os.environ["HYDRA_FULL_ERROR"] = "1"  # we show errors ourselves, in one line
        sys.argv = ["mtl train", *words]
        GlobalHydra.instance().clear()
        try:
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)()
        except (HydraException, OmegaConfBaseException) as error:
            if full:
                raise
            if said := elsewhere(str(error), words):
                raise MtlError(said) from error
            if isinstance(error, OverrideParseException):
                raise MtlError(f"{error.override}: {_parsing(str(error))}") from error
            cause = f": {error.__cause__}" if isinstance(error.__cause__, OmegaConfBaseException) else ""
            raise MtlError(_lines(f"{error}{cause}")) from error
        except NoParentError as stop:
            raise stop.error from None
        finally:
            os.environ["HYDRA_FULL_ERROR"] = full or ""
        if _errors:
            raise _errors.pop()
    return 0


def _parsing(message: str) -> str:
    """What is wrong with an override, without its name and the address of a grammar."""
    return " ".join(line for line in _lines(message).splitlines() if not line.startswith(("Error parsing", "See http")))


def _lines(message: str) -> str:
    """The message without empty lines and without Hydra's search path."""
    kept = [line.rstrip() for line in message.splitlines() if line.strip()]
    return "\n".join(line for line in kept if not line.lstrip().startswith(("provider=", "Config search path")))


def job(config: "DictConfig") -> None:
    """Train, test and record one run. A lone run's error waits in `_errors`: Hydra would print its overrides first."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from mtl.cli.once import run_once
    from mtl.cli.validations import Validations

    plain: Any = OmegaConf.to_container(config, resolve=True)
    settings = HydraConfig.get()
    chosen = dict(settings.runtime.choices)
    folder, words = Path(settings.runtime.output_dir), list(settings.overrides.task)
    if str(settings.mode).endswith("MULTIRUN"):
        sweep_job(plain, chosen, folder, Path(settings.sweep.dir), settings.job.num, words)
        return
    try:
        run_once(plain, chosen, folder, None, Validations(), words)
    except MtlError as error:
        _errors.append(error)


def sweep_job(plain: Any, chosen: dict[str, str], folder: Path, sweep: Path, number: int, words: Sequence[str]) -> None:
    """One job of a sweep; leaves notes of its beginning, its validations and its end in the sweep's folder."""
    from mtl.cli import notes
    from mtl.cli.describe import run_name
    from mtl.cli.once import run_once
    from mtl.cli.search import trial_of
    from mtl.cli.validations import PrunedError, Validations, Values

    name = run_name(plain, chosen)
    trial = trial_of(sweep, number)

    def note(state: str, why: str = "", values: Values | None = None) -> None:
        notes.leave(sweep, notes.Note(folder.name, name, state, " ".join(why.split()), values or {}))

    def validated(step: int, values: Values) -> None:
        note(notes.RUNNING, f"at step {step}", values)
        if trial is not None:
            trial.report(step, values)

    validations = Validations(validated)
    note(notes.RUNNING)
    end, why = notes.FAILED, "was interrupted"
    try:
        with _output_kept(folder, sweep):
            end, why = run_once(plain, chosen, folder, sweep, validations, words), ""
    except PrunedError as pruned:
        end, why = notes.PRUNED, str(pruned)
    except Exception as error:
        why = str(error)
        print(f"mtl: job {number} failed: {error}", file=sys.stderr, flush=True)
        (folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
        raise
    finally:
        note(end, why, validations.selected(plain["selection"]))


@contextlib.contextmanager
def _output_kept(folder: Path, sweep: Path) -> Generator[None, None, None]:
    """What a job in a process of its own prints goes to a file while a live summary holds the terminal."""
    from mtl.cli.live import OUTPUT
    from mtl.cli.sweep import in_own_process, is_watched

    if not (is_watched(sweep) and in_own_process()):
        yield
        return
    with (
        (folder / OUTPUT).open("a", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield
