"""A step's rows in parts that go through the model one after another, and how much each counts in the step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from mtl.data.batch import Batch, TaskRows
from mtl.data.kinds.tagging import IGNORED


@dataclass(frozen=True)
class Parts:
    """The rows of a step of K tasks.

    Args:
        batches: the parts. A part may lack a task.
        shares: for each part its K shares. A task's loss over all rows of the step is the sum over the parts of share
            times mean loss of the part.
        rows: of each of the K tasks, in all parts.
    """

    batches: Sequence[Batch]
    shares: Sequence[Sequence[float]]
    rows: Mapping[str, int]


def whole(batch: Batch) -> Parts:
    """All rows at once."""
    return Parts([batch], [[1.0] * len(batch.tasks)], {name: len(rows.targets) for name, rows in batch.tasks.items()})


def cut(batch: Batch, per_token: Mapping[str, bool], pieces: int) -> Parts:
    """Parts of about as many rows of each task: every distinct input, with all that ask for it, is in one of them.

    Args:
        batch: the step's rows, U distinct inputs.
        per_token: of each task of the run, whether its loss is a mean over tokens that have a target and not over rows.
        pieces: how many parts; U where that is less.
    """
    pieces = min(pieces, len(batch.ids))
    batches = [_every(batch, pieces, first) for first in range(pieces)]
    names = list(batch.tasks)
    counts = torch.tensor([[_count(part, name, per_token[name]) for name in names] for part in batches])
    return Parts(batches, (counts / counts.sum(0)).tolist(), whole(batch).rows)


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
