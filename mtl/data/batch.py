"""One step's rows of all its tasks as one padded block, in which each distinct input stands once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mtl.data.inputs import Inputs
from mtl.data.kinds.tagging import IGNORED
from mtl.data.task import LabelledRows


@dataclass
class TaskRows:
    """A task's share of a batch.

    Args:
        inputs: R positions in the batch's distinct inputs; `None` where they are all of them, in order.
        targets: R targets (R x L for one target a token).

    """

    inputs: Tensor | None
    targets: Tensor


@dataclass
class Batch:
    """U distinct inputs of length L, padded on the right, and who asks for which of them.

    Args:
        ids: U x L (long).
        lengths: U true lengths (long).
        tasks: the share of each task in the step, in the order of the run.
        bounds: U x 3 (long), where the announced text begins and ends, and where `{prompt}` is, for prompts that
            stand there.
        numbers: U x F, what a prompt measured on each text.
        answer_at: U (long), where the words of an answer begin, in a batch that they were put into.
        masks: U x 2 (long), where masks for further pieces of a word begin and end, in a batch that they were put into.

    """

    ids: Tensor
    lengths: Tensor
    tasks: Mapping[str, TaskRows]
    bounds: Tensor | None = None
    numbers: Tensor | None = None
    answer_at: Tensor | None = None
    masks: Tensor | None = None

    @property
    def ends(self) -> Tensor:
        """U (long), where each row ends: an answer's words are not of it."""
        return self.lengths if self.answer_at is None else self.answer_at

    @property
    def own(self) -> Tensor:
        """U x L bools: the tokens of each row, without padding and without what was put in for an answer."""
        tokens = torch.arange(self.ids.shape[1], device=self.ids.device)
        inside = tokens < self.ends[:, None]
        return inside if self.masks is None else inside & ((tokens < self.masks[:, :1]) | (tokens >= self.masks[:, 1:]))

    @property
    def _about(self) -> list[Tensor | None]:
        return [self.bounds, self.numbers, self.answer_at, self.masks]

    @classmethod
    def of(cls, inputs: Inputs, task: str) -> "Batch":
        """All rows of the inputs, asked for by one task, without targets."""
        rows = np.arange(len(inputs.lengths))
        ids, about = inputs.pad(rows, int(inputs.lengths.max())), (inputs.bounds(rows), inputs.numbers)
        share = {task: TaskRows(None, torch.zeros(len(rows)))}
        return cls(torch.from_numpy(ids), torch.from_numpy(inputs.lengths), share, *(_joined([part]) for part in about))

    def only(self, inputs: Tensor, tasks: Mapping[str, TaskRows]) -> "Batch":
        """The batch of these distinct inputs."""
        about = (part if part is None else part[inputs] for part in self._about)
        return Batch(self.ids[inputs], self.lengths[inputs], tasks, *about)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        about = (part if part is None else part.to(device) for part in self._about)
        tasks = {
            name: TaskRows(rows.inputs if rows.inputs is None else rows.inputs.to(device), rows.targets.to(device))
            for name, rows in self.tasks.items()
        }
        return Batch(self.ids.to(device), self.lengths.to(device), tasks, *about)


@dataclass(frozen=True, eq=False)
class Announced:
    """A task's labelled rows with the inputs that announce them; tasks with the same inputs share the object."""

    labelled: LabelledRows
    inputs: Inputs


def collate(rows: Mapping[str, np.ndarray], tasks: Mapping[str, Announced]) -> Batch:
    """The batch for these rows of each task. Tasks that share inputs share the rows they both ask for."""
    groups: dict[int, list[str]] = {}
    for name in rows:
        groups.setdefault(id(tasks[name].inputs), []).append(name)
    distinct: list[tuple[Inputs, np.ndarray]] = []
    places: dict[str, np.ndarray] = {}
    offset = 0
    for names in groups.values():
        union, inverse = np.unique(np.concatenate([rows[name] for name in names]), return_inverse=True)
        for name in names:
            places[name], inverse = inverse[: len(rows[name])] + offset, inverse[len(rows[name]) :]
        distinct.append((tasks[names[0]].inputs, union))
        offset += len(union)
    lengths = np.concatenate([inputs.lengths[union] for inputs, union in distinct])
    width = int(lengths.max())
    ids = np.concatenate([inputs.pad(union, width) for inputs, union in distinct])
    about = [
        [inputs.bounds(union) for inputs, union in distinct],
        [None if inputs.numbers is None else inputs.numbers[union] for inputs, union in distinct],
    ]
    shares = {
        name: TaskRows(
            None if np.array_equal(places[name], np.arange(offset)) else torch.from_numpy(places[name]),
            _targets(tasks[name], asked, width),
        )
        for name, asked in rows.items()
    }
    return Batch(torch.from_numpy(ids), torch.from_numpy(lengths), shares, *(_joined(parts) for parts in about))


def _joined(parts: Sequence[np.ndarray | None]) -> Tensor | None:
    found = [part for part in parts if part is not None]
    return torch.from_numpy(np.concatenate(found)) if len(found) == len(parts) else None


def _targets(announced: Announced, rows: np.ndarray, width: int) -> Tensor:
    targets = [announced.labelled.targets[row] for row in rows]
    assert all(target is not None for target in targets)
    if announced.labelled.task.kind.per_token:
        return announced.inputs.place(targets, rows, width, IGNORED)
    return torch.from_numpy(np.stack(targets))
