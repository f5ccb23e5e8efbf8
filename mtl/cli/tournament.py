"""Rounds of candidates under one budget of steps: ordinary sweeps of `mtl train`, judged on the validation split."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtl.data.task import LabelledRows
from mtl.design.analysis import targets, texts
from mtl.design.candidates import Candidate
from mtl.errors import MtlError
from mtl.functional.row_bootstrap import score

LEAST_ROWS = 10
Found = dict[tuple[str, int], Mapping[Any, Any]]
"""Rows of the record, by prompt and seed."""


@dataclass(frozen=True)
class Tried:
    """What one candidate answered after a round.

    Args:
        candidate: the prompt.
        number: of the round, from 1.
        steps: of each run.
        run_ids: one a seed.
        answers: for each task S x N positions of labels, for S seeds and N validation rows.
    """

    candidate: Candidate
    number: int
    steps: int
    run_ids: tuple[str, ...]
    answers: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Judge:
    """Validation rows in two halves: candidates are chosen on one, and compared with controls on the other.

    The winner of many looks better on the rows that chose it than it is; the other half does not know it.
    """

    loaded: Mapping[str, LabelledRows]

    def half(self, task: str, *, choosing: bool) -> np.ndarray:
        """Places of validation rows, the same for all candidates."""
        order = np.random.default_rng(0).permutation(len(self.loaded[task].rows["val"]))
        return np.sort(order[: len(order) // 2] if choosing else order[len(order) // 2 :])

    def score(self, tried: Tried, task: str, *, choosing: bool) -> float:
        """The task's primary metric, mean over seeds."""
        rows, at = self.loaded[task], self.half(task, choosing=choosing)
        wanted, labels = targets(rows, "val")[at], len(rows.task.kind.labels)
        return score(rows.task.metric, wanted, tried.answers[task][:, at], np.ones(len(at)), labels)

    def mean(self, tried: Tried, *, choosing: bool = True) -> float:
        """The mean over tasks."""
        return float(np.mean([self.score(tried, task, choosing=choosing) for task in self.loaded]))

    def check(self) -> None:
        """MtlError where a half is too small to say anything."""
        for task, rows in self.loaded.items():
            if len(rows.rows["val"]) < 2 * LEAST_ROWS:
                raise MtlError(
                    f"task {task}: design needs at least {2 * LEAST_ROWS} validation rows, to choose on one half and "
                    f"compare on the other. Found {len(rows.rows['val'])}"
                )


@dataclass(frozen=True)
class Round:
    """What every round has in common.

    Args:
        words: overrides of all runs.
        seeds: of each candidate.
        experiment: in the record.
        uri: of the record, as `tracking.uri`.
        folder: of the prompts' files.
        loaded: the tasks.
    """

    words: Sequence[str]
    seeds: Sequence[int]
    experiment: str
    uri: str | None
    folder: Path
    loaded: Mapping[str, LabelledRows]

    def train(self, tried: Sequence[Candidate], number: int, steps: int) -> list[Tried]:
        """Train all of them as one sweep, from the beginning, and ask their models about the validation rows.

        What the record has already is not trained again, unless its folder is gone.
        """
        from mtl.tracking.lineage import tag_runs
        from mtl.tracking.store import tracking_uri

        found = self._sweep(tried, steps)
        lost = [one for one in tried if any(_checkpoint(found[one.name, seed]) is None for seed in self.seeds)]
        if lost:
            print(
                f"trained again, since the folder of their runs is gone: {', '.join(c.name for c in lost)}", flush=True
            )
            found |= self._sweep(lost, steps, again=True)
        made = [self._tried(candidate, number, steps, found) for candidate in tried]
        place = {"mtl.design.round": str(number), "mtl.design.steps": str(steps)}
        tag_runs(tracking_uri(self.uri), {id_: one.candidate.lineage | place for one in made for id_ in one.run_ids})
        return made

    def _sweep(self, tried: Sequence[Candidate], steps: int, *, again: bool = False) -> Found:
        """Their runs, by name and seed."""
        from mtl.cli.call import train
        from mtl.cli.sweep import parent_of
        from mtl.tracking.runs import runs

        files = ["none" if c.family == "none" else str(self.folder / f"{c.name}.yaml") for c in tried]
        own = [f"prompt={','.join(files)}", f"seed={','.join(map(str, self.seeds))}", f"steps={steps}"]
        record = [f"tracking.experiment={self.experiment}", "tracking.model=false", f"eval_every={steps}"]
        # a folder of its own, by which the sweep is found however many others run beside it
        folder = Path("multirun").resolve() / f"design-{time.time_ns()}-{os.getpid()}"
        repeat = ["again=true"] if again else []
        train([*self.words, *own, *record, *repeat, f"hydra.sweep.dir='{folder}'"], sweep=True)
        frame = runs(self.experiment, self.uri, sweep=parent_of(folder))
        return {(run["tags.mtl.prompt"], int(run["tags.mtl.seed"])): run for run in frame.to_dict("records")}

    def _tried(self, candidate: Candidate, number: int, steps: int, found: Found) -> Tried:
        mine = [found[candidate.name, seed] for seed in self.seeds]
        answers = [self._answers(run) for run in mine]
        by_task = {task: np.stack([answer[task] for answer in answers]) for task in self.loaded}
        return Tried(candidate, number, steps, tuple(run["run_id"] for run in mine), by_task)

    def _answers(self, run: Mapping[Any, Any]) -> dict[str, np.ndarray]:
        from mtl.cli.predict import load

        checkpoint = _checkpoint(run)
        if checkpoint is None:
            raise MtlError(f"run {run['run_id']}: there is no checkpoint in {run['tags.mtl.folder']}")
        predictor = load(checkpoint)
        found = {}
        for task, rows in self.loaded.items():
            place = {label: at for at, label in enumerate(rows.task.kind.labels)}
            said = predictor.answer(texts(rows, "val"), [task])
            found[task] = np.array([place[str(answer[task].value)] for answer in said])
        return found


def _checkpoint(run: Mapping[Any, Any]) -> Path | None:
    """Where the weights that a run ended with lie; `None` where its folder is gone."""
    folder = Path(run["tags.mtl.folder"]) / "checkpoints"
    return next((path for name in ("last", "best") if (path := folder / f"{name}.ckpt").is_file()), None)
