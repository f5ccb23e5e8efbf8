"""A step's rows in parts that go through the model one after another, and how much each counts in the step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from mtl.data.batch import Batch, TaskRows
from mtl.data.kinds.tagging import IGNORED
from mtl.training.processes import mean_over_processes, num_processes


@dataclass(frozen=True)
class Parts:
    """The rows of a step of K tasks.

    Args:
        batches: the parts. A part may lack a task.
        shares: for each part its K shares. A task's loss over all rows of the step is the sum over the parts of share
            times mean loss of the part; where several processes have a part of the rows, the mean of their sums.
        rows: of each of the K tasks, in all parts of all processes.
    """

    batches: Sequence[Batch]
    shares: Sequence[Sequence[float]]
    rows: Mapping[str, int]


def whole(batch: Batch) -> Parts:
    """All rows at once."""
    return Parts([batch], [[1.0] * len(batch.tasks)], {name: len(rows.targets) for name, rows in batch.tasks.items()})


def cut(batch: Batch, per_token: Mapping[str, bool], pieces: int) -> Parts:
    """Parts of about as many rows of each task: every distinct input, with all that ask for it, is in one of them.

    With several processes the step's rows are those of all, and each cuts its own.

    Args:
        batch: the step's rows, U distinct inputs.
        per_token: of each task of the run, whether its loss is a mean over tokens that have a target and not over rows.
        pieces: how many parts; U where that is less.
    """
    pieces = min(pieces, len(batch.ids))
    batches = [_every(batch, pieces, first) for first in range(pieces)]
    counts = [[_count(part, name, per_token[name]) for name in per_token] for part in batches]
    rows = [len(batch.tasks[name].targets) if name in batch.tasks else 0 for name in per_token]
    known, n = torch.tensor([*counts, rows], dtype=torch.float64, device=batch.ids.device), num_processes()
    of_all = torch.stack([known[:-1].sum(0), known[-1]])
    whole_counts, whole_rows = mean_over_processes(of_all).mul(n).round().unbind()
    present = whole_rows.nonzero().flatten()
    shares = known[:-1, present] * n / whole_counts[present]
    names = list(per_token)
    found = {names[place]: int(whole_rows[place]) for place in present.tolist()}
    return Parts(batches, shares.tolist(), found)


def _every(batch: Batch, pieces: int, first: int) -> Batch:
    """Every `pieces`-th distinct input from `first` on, and who asks for it."""
    tasks = {}
    for name, rows in batch.tasks.items():
        if rows.inputs is None:
            tasks[name] = TaskRows(None, rows.targets[first::pieces])
        elif len(mine := (rows.inputs % pieces == first).nonzero().flatten()):
            tasks[name] = TaskRows(rows.inputs[mine] // pieces, rows.targets[mine])
    return batch.only(torch.arange(first, len(batch.ids), pieces, device=batch.ids.device), tasks)


def _count(batch: Batch, name: str, per_token: bool) -> int:
    """What the mean of the task's loss goes over."""
    if name not in batch.tasks:
        return 0
    targets = batch.tasks[name].targets
    return int((targets != IGNORED).sum()) if per_token else len(targets)
