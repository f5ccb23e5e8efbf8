"""The study of a search: where Optuna keeps it, how it samples and prunes, what belongs in it."""

import itertools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.errors import MtlError, choices

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

SAMPLERS, PRUNERS = ("tpe", "random", "grid"), ("none", "median", "halving")


def sampler(name: str, seed: int, searched: Mapping[str, "BaseDistribution"], at_once: int) -> Callable[[int], Any]:
    """A function from the number of a trial to its sampler: what is tried does not depend on interruptions.

    A sampler that is made anew after an interruption would repeat its first random numbers, so each trial has its own.
    """
    from optuna.samplers import RandomSampler, TPESampler

    if name not in SAMPLERS:
        raise MtlError(f"hydra.sweeper.sampler should be {choices(SAMPLERS)}. Found '{name}'")
    if name == "grid":
        grid(searched)

    def make(number: int) -> "BaseSampler":
        own = (seed * 1_000_003 + number) % 2**31
        return TPESampler(seed=own, constant_liar=at_once > 1) if name == "tpe" else RandomSampler(own)

    return make


def grid(searched: Mapping[str, "BaseDistribution"]) -> list[dict[str, Any]]:
    """Every combination; the last parameter varies fastest."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    values: dict[str, Sequence[Any]] = {}
    for key, found in searched.items():
        if isinstance(found, CategoricalDistribution):
            values[key] = found.choices
        elif isinstance(found, IntDistribution):
            values[key] = range(found.low, found.high + 1, found.step)
        else:
            raise MtlError(f"{key}: sampler=grid needs lists of values, and an interval has none")
    return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]


def lay_out(found: "Study", searched: Mapping[str, "BaseDistribution"]) -> None:
    """Put every combination into the study's queue, once."""
    for params in grid(searched):
        found.enqueue_trial(params, skip_if_exists=True)


def is_waiting(found: "Study") -> bool:
    """Whether the queue holds a trial."""
    from optuna.trial import TrialState

    return any(trial.state == TrialState.WAITING for trial in found.get_trials(deepcopy=False))


def pruner(name: str, objectives: int) -> "BasePruner":
    """Optuna's pruner of this name."""
    from optuna.pruners import MedianPruner, NopPruner, SuccessiveHalvingPruner

    if name not in PRUNERS:
        raise MtlError(f"hydra.sweeper.pruner should be {choices(PRUNERS)}. Found '{name}'")
    if name != "none" and objectives > 1:
        raise MtlError(f"hydra.sweeper.pruner={name} goes by one objective. Found {objectives} objectives")
    return {"none": NopPruner, "median": MedianPruner, "halving": SuccessiveHalvingPruner}[name]()


def storage(where: str) -> "BaseStorage":
    """A database where `where` is an address, else a journal file."""
    import optuna
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if "://" in where:
        try:
            return RDBStorage(where)
        except Exception as error:
            raise MtlError(f"hydra.sweeper.storage: {where}: {str(error).splitlines()[0]}") from error
    path = Path(where).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path)))


def study(kept: "BaseStorage", name: str, directions: Sequence[Any], about: Mapping[str, Any]) -> "Study":
    """The study of this name, begun now or earlier; MtlError where it is about something else."""
    import optuna

    text = json.dumps(about, sort_keys=True)
    found = (
        optuna.create_study(storage=kept, study_name=name, directions=list(directions), load_if_exists=True)
        if (name not in {known.study_name for known in kept.get_all_studies()})
        else optuna.load_study(storage=kept, study_name=name)
    )
    earlier = json.loads(found.user_attrs.get("about", text))
    for part, value in about.items():
        if earlier.get(part) != json.loads(json.dumps(value)):
            raise MtlError(
                f"study '{name}' is another search: its {part} was {json.dumps(earlier.get(part))}, and now is "
                f"{json.dumps(value)}; hydra.sweeper.study=NAME begins a new one"
            )
    found.set_user_attr("about", text)
    return found


def go_on(found: "Study", retry: bool) -> None:
    """Trials whose process is gone are tried again (and go on from their checkpoints); failed ones when asked."""
    from optuna.trial import TrialState

    for trial in found.get_trials(deepcopy=False):
        died = trial.state == TrialState.RUNNING
        failed = retry and trial.state == TrialState.FAIL and not is_replaced(found, trial.number)
        if died or failed:
            if died:
                found.tell(trial.number, state=TrialState.FAIL)
            found.set_user_attr(f"replaced {trial.number}", True)
            found.enqueue_trial(dict(trial.params))
            print(f"trial {trial.number} {'was cut off' if died else 'failed'}; again", file=sys.stderr, flush=True)


def is_replaced(found: "Study", number: int) -> bool:
    """Whether the trial was put into the queue again, so that it does not count."""
    return f"replaced {number}" in found.user_attrs


def counted(found: "Study", *, ended: bool = True) -> "list[FrozenTrial]":
    """Trials that ended, or all that began, without those that were put into the queue again."""
    from optuna.trial import TrialState

    trials = [t for t in found.get_trials(deepcopy=False) if not is_replaced(found, t.number)]
    return [t for t in trials if t.state.is_finished() or (not ended and t.state != TrialState.WAITING)]
