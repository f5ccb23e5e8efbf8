"""The jobs of a sweep over lists of values; those that the record knows already are left out before any is started."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl.cli import notes
from mtl.cli.compose import Composer, freeze
from mtl.cli.identity import digest
from mtl.cli.sweep import current
from mtl.errors import MtlError

Job = tuple[str, ...]
"""The overrides of a job."""


class Planner:
    """What is known of jobs before they start: configuration, name and key.

    Args:
        loader: composes.
        master: configuration of the sweep.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._compose = Composer(loader, master)
        self._sources: dict[str, list[str]] = {}
        self.again, self.retry = bool(master.again), bool(master.retry)

    def __call__(self, job: Sequence[str]) -> tuple[str, str]:
        """Name and key of a job."""
        from mtl.cli.build import brought_keys
        from mtl.cli.describe import run_name
        from mtl.cli.identity import run_key

        config, chosen = self._compose(job)
        return run_name(config, chosen), run_key(config, [*self.sources(config), *brought_keys(config)])

    def config(self, job: Sequence[str]) -> dict[str, Any]:
        """The resolved configuration."""
        return self._compose(job)[0]

    def sources(self, config: Mapping[str, Any]) -> list[str]:
        """Keys of the rows; read once for all jobs of the same tasks."""
        from mtl.cli.build import make_specs

        tasks = digest([config["tasks"], config["switching"].get("task")])
        if tasks not in self._sources:
            self._sources[tasks] = [spec.source.key for spec in make_specs(config).values()]
        return self._sources[tasks]

    def unfinished(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs to train, in their order; a note is left of each that is not. With all composed the sweep begins."""
        from mtl.tracking.earlier import Earlier, join_sweep
        from mtl.tracking.keys import standings

        planned: list[tuple[Job, str, str]] = []
        rest: list[Job] = []
        for job in jobs:
            try:
                planned.append((job, *self(job)))
            except (MtlError, OmegaConfBaseException):  # the job itself will say so; only there `${hydra:...}` is known
                planned.append((job, "", ""))
        sweep = current()
        known = {} if self.again else standings(sweep.store, [key for _, _, key in planned if key])
        for number, (job, name, key) in enumerate(planned):
            standing = known.get(key)
            if standing is not None and standing.status == "FINISHED":
                join_sweep(sweep.store, Earlier(standing.run_id, True, Path(standing.folder)), sweep.parent.run_id)
                print(f"{name}: in the record already as run {standing.run_id} (again=true repeats it)", flush=True)
                notes.leave(sweep.folder, notes.Note(f"known {number}", name, notes.KNOWN))
            elif standing is not None and standing.status == "FAILED" and not self.retry:
                why = f"{standing.error or 'no reason given'} (retry=true tries again)"
                notes.leave(
                    sweep.folder, notes.Note(f"{number} of the list", name, notes.BEFORE, " ".join(why.split()))
                )
            else:
                rest.append(job)
        return rest


class Grid(Sweeper):
    """Every combination of the listed values. Composes each job once, from files that are read once.

    Args:
        params: values to sweep over, beside those of the command line.
        max_batch_size: jobs that the launcher gets at once; all by default.
    """

    def __init__(self, params: Mapping[str, Any] | None = None, max_batch_size: int | None = None) -> None:
        self.params, self.max_batch_size = dict(params or {}), max_batch_size

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Read the configuration files, for good."""
        self._settings, self._loader = config, hydra_context.config_loader
        freeze(self._loader, config)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._launch = launcher.launch

    def sweep(self, arguments: list[str]) -> Any:
        """Train what the record lacks; an error of the first job that failed, when all have ended."""
        jobs = expand([f"{key}={value}" for key, value in self.params.items()] + arguments, self._loader)
        rest = Planner(self._loader, self._settings).unfinished(jobs)
        folder = current().folder
        OmegaConf.save(self._settings, folder / "multirun.yaml")
        current().watch(len(jobs))
        size = self.max_batch_size or len(rest) or 1
        results: list[Any] = []
        for start in range(0, len(rest), size):
            results += self._launch(rest[start : start + size], initial_job_idx=start)
        for result in results:
            _ = result.return_value  # raises the job's error
        before = sum(note.state == notes.BEFORE for note in notes.read(folder))
        if before:
            raise MtlError(f"{before} of {len(jobs)} jobs failed in an earlier sweep; retry=true tries them again")
        return results


def expand(words: list[str], loader: ConfigLoader | None = None) -> list[Job]:
    """Overrides with lists of values to the overrides of each job: the last list varies fastest.

    The loader knows the options that a `glob(*)` stands for.
    """
    choices: dict[str, list[str]] = {}
    for override in OverridesParser.create(loader).parse_overrides(words):
        key = override.get_key_element()
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise MtlError(f"{override.input_line}: an interval has no list of values; hydra/sweeper=optuna")
        values = override.sweep_string_iterator() if override.is_sweep_override() else None
        choices[key] = [f"{key}={value}" for value in values or [override.get_value_element_as_str()]]
    return [tuple(job) for job in itertools.product(*choices.values())]
