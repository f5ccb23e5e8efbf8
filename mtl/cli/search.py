"""A search for good settings by Optuna, whose trials are the jobs of a sweep, under any launcher."""

import contextlib
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mtl.cli import notes
from mtl.cli.compose import freeze
from mtl.cli.grid import Job, Planner
from mtl.cli.identity import digest
from mtl.cli.objectives import directions, found_in
from mtl.cli.space import check_numbers, corners, space, words
from mtl.cli.sweep import current
from mtl.errors import MtlError

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

TRIALS = ".mtl-trials"
NOT_SEARCHED = ("hydra.", "tracking.", "trainer.progress", "retry", "again", "checkpoint_every")


class Search(Sweeper):
    """Tries what the sampler proposes, `n_jobs` at once, until the study has `n_trials`.

    Args:
        n_trials: of the study, those of earlier calls included.
        n_jobs: trials that the launcher gets at once.
        sampler: `tpe` (Bergstra et al. 2011), `random` or `grid`.
        pruner: gives runs up by their `val/score` so far: `none`, `median` or `halving`.
        objectives: validation metrics; `tasks` stands for the primary metric of every task.
        study: its name; by default one that belongs to what is searched, so that the same command goes on.
        storage: a journal file, or the address of a database.
        params: what to search, beside that of the command line.
    """

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        sampler: str,
        pruner: str,
        objectives: Sequence[str] | str,
        study: str | None,
        storage: str,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.n_trials, self.n_jobs, self.sampler, self.pruner = n_trials, n_jobs, sampler, pruner
        self.objectives, self.name, self.storage, self.params = objectives, study, storage, dict(params or {})
        self._next = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Read the configuration files, for good."""
        for field in ("n_trials", "n_jobs"):
            if not isinstance(value := getattr(self, field), int) or value < 1:
                raise MtlError(f"hydra.sweeper.{field} should be a whole number of at least 1. Found {value!r}")
        try:
            import optuna  # noqa: F401
        except ImportError:
            raise MtlError("hydra/sweeper=optuna needs Optuna: pip install 'mtl[search]'") from None
        self._settings, loader = config, hydra_context.config_loader
        freeze(loader, config)
        self.plan = Planner(loader, config)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._launch = launcher.launch

    def sweep(self, arguments: list[str]) -> None:
        """Search, and say what was found."""
        from mtl.tracking.earlier import at_work

        self.fixed, self.space = space([f"{key}={value}" for key, value in self.params.items()] + arguments)
        study = self._open()
        folder = current().folder
        OmegaConf.save(self._settings, folder / "multirun.yaml")
        lock = folder.parent / f".study-{digest([self.storage, study.study_name])}"
        with at_work(lock):
            self._search(study)
        report(study, self.fixed)
        failed = sum(note.state in notes.BAD for note in notes.latest(notes.read(folder)).values())
        if failed:
            raise MtlError(f"{failed} trials failed; the same command with retry=true tries them again")

    def _open(self) -> "Study":
        """The study, after everything that can be wrong was looked at."""
        from mtl.cli import trials as studies
        from mtl.cli.build import make_specs
        from mtl.cli.checks import check

        if not self.space:
            raise MtlError("a search needs something to search, such as optimizer.lr=interval(1e-4,1e-2)")
        base = self.plan.config(self.fixed)
        check_numbers(self.space, base)
        wanted = directions(self.objectives, make_specs(base))
        self.make_sampler = studies.sampler(self.sampler, base["seed"], self.space, self.n_jobs)
        chosen_pruner = studies.pruner(self.pruner, len(wanted))
        for corner in corners(self.space):
            try:
                check(self.plan.config([*self.fixed, *words(corner)]))
            except MtlError as error:
                hint = "; a search of whole numbers is int(interval(a,b))" if "whole number" in str(error) else ""
                raise MtlError(f"{error}{hint}") from None
        _, key = self.plan(self.fixed)
        about = {
            "space": {name: str(found) for name, found in sorted(self.space.items())},
            "objectives": list(wanted),
            "settings": sorted(word for word in self.fixed if not word.startswith(NOT_SEARCHED)),
            "configuration": key,
        }
        kept = studies.storage(self.storage)
        study = studies.study(kept, self.name or f"search-{digest(about)}", list(wanted.values()), about)
        study.pruner = chosen_pruner
        self.wanted = list(wanted)
        return study

    def _search(self, study: "Study") -> None:
        from mtl.cli.trials import counted, go_on, is_waiting, lay_out

        go_on(study, self.plan.retry)
        if self.sampler == "grid":
            lay_out(study, self.space)
        done = len(counted(study))
        if done:
            print(f"study {study.study_name} goes on: {done} of {self.n_trials} trials are done", flush=True)
        current().watch(max(self.n_trials - done, 0))
        while (missing := self.n_trials - len(counted(study))) > 0:
            trials = []
            for _ in range(min(self.n_jobs, missing)):
                if self.sampler == "grid" and not is_waiting(study):
                    break
                study.sampler = self.make_sampler(len(counted(study, ended=False)))
                trials.append(study.ask(self.space))
            if not trials:
                return
            self._try(study, trials)

    def _try(self, study: "Study", trials: list["Trial"]) -> None:
        """Launch a batch, and tell the study how each trial ended."""
        from mtl.tracking.keys import standings

        store, folder = current().store, current().folder
        jobs: dict[int, Job] = {trial.number: (*self.fixed, *words(trial.params)) for trial in trials}
        keys: dict[int, str] = {}
        for number, job in jobs.items():
            with contextlib.suppress(MtlError):  # the job itself will say what is wrong
                keys[number] = self.plan(job)[1]
        started: dict[int, int] = {}
        rest = set(self.plan.unfinished(list(jobs.values())))
        launched = [number for number, job in jobs.items() if job in rest]
        for number in launched:
            started[number] = self._next + len(started)
        where = {"study": study.study_name, "storage": self.storage, "pruner": self.pruner}
        numbers = {str(at): number for number, at in started.items()}
        (folder / TRIALS).write_text(json.dumps({**where, "trials": numbers}), encoding="utf-8")
        if launched:
            self._launch([jobs[number] for number in launched], initial_job_idx=self._next)
        self._next += len(launched)
        last = notes.latest(notes.read(folder))
        known = standings(store, [key for key in keys.values() if key])
        for trial in trials:
            note = last.get(str(started[trial.number])) if trial.number in started else None
            standing = known.get(keys.get(trial.number, ""))
            self._tell(study, trial, note, "" if standing is None else standing.run_id)

    def _tell(self, study: "Study", trial: "Trial", note: notes.Note | None, run_id: str) -> None:
        from optuna.trial import TrialState

        selection = self.plan.config((*self.fixed, *words(trial.params)))["selection"]
        study.set_user_attr(f"run {trial.number}", run_id)
        if note is not None and note.state == notes.PRUNED:
            study.tell(trial, state=TrialState.PRUNED)
            return
        values = dict(note.values) if note is not None and note.state == notes.DONE else {}
        if not values and run_id and (note is None or note.state == notes.KNOWN):
            values = found_in(current().store, run_id, self.wanted, selection)
        told = [values.get(name) for name in self.wanted]
        if None in told or any(value != value for value in told):
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, [value for value in told if value is not None])


class Reporter:
    """A trial as its run sees it, in whichever process that is."""

    def __init__(self, trial: "Trial") -> None:
        self._trial, self._last = trial, -1

    def report(self, step: int, values: Mapping[str, float]) -> None:
        """Hand on `val/score`; PrunedError where the pruner gives the run up."""
        from mtl.cli.validations import PrunedError

        if step <= self._last:
            return
        self._last = step
        self._trial.report(values["val/score"], step)
        if self._trial.should_prune():
            raise PrunedError(f"given up at step {step}: val/score {values['val/score']:.4f} is behind other trials")


def trial_of(sweep: Path, number: int) -> Reporter | None:
    """The trial that the job of this number is, where its search prunes."""
    if not (sweep / TRIALS).exists():
        return None
    about = json.loads((sweep / TRIALS).read_text(encoding="utf-8"))
    if about["pruner"] == "none":
        return None
    import optuna

    from mtl.cli.trials import pruner, storage

    study = optuna.load_study(study_name=about["study"], storage=storage(about["storage"]))
    study.pruner = pruner(about["pruner"], 1)
    trial = study.get_trials(deepcopy=False)[about["trials"][str(number)]]
    return Reporter(optuna.trial.Trial(study, trial._trial_id))


def report(study: "Study", fixed: Sequence[str]) -> None:
    """Print the best trial, or the front of several objectives, each with its command; record them on the parent."""
    from optuna.trial import TrialState

    parent = current().parent
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    parent.text(study.trials_dataframe().to_csv(index=False), "trials.csv")
    if not ended:
        print("no trial has ended with a score")
        return
    names = json.loads(study.user_attrs["about"])["objectives"]
    best: list[FrozenTrial] = [study.best_trial] if len(names) == 1 else study.best_trials
    kept = [word for word in fixed if not word.startswith(("hydra.", "retry", "again"))]
    print("best on validation:" if len(names) == 1 else f"the front on validation: {len(best)} of {len(ended)} trials")
    lines = []
    for trial in best:
        scores = ", ".join(f"{name} {value:.4f}" for name, value in zip(names, trial.values or [], strict=True))
        command = shlex.join(["mtl", "train", *kept, *words(trial.params)])
        lines.append(f"trial {trial.number}: {scores}\n  {command}")
    print("\n".join(lines), flush=True)
    parent.text("\n".join(lines) + "\n", "best.txt")
    runs = [str(study.user_attrs.get(f"run {trial.number}", "")) for trial in best]
    parent.tags(
        {"mtl.best_run": ",".join(runs)[:5000], "mtl.study": study.study_name, "mtl.best": "\n".join(lines)[:5000]}
    )
