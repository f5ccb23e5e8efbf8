"""The prompt table: all learned prompts of a run in one module, rows indexed by task."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mtl.data.batch import Batch
from mtl.data.encoder import Encoder
from mtl.data.task import Task
from mtl.errors import MtlError, choices
from mtl.model.base import Trunk
from mtl.model.prompt.start import INITS, Init, Start, words_of
from mtl.prompts.base import Prompt, known

ALL = "all"
"""The name of the one row of a prompt that all tasks share."""
Length = int | Mapping[str, int]


class Learned(nn.Module, Prompt):
    """A text prompt announces the task in words; rows of parameters announce it to the trunk.

    It begins as a design (options) and becomes a table by `make`, when trunk and vocabulary are there. What belongs to
    one task alone is in `rows`, a module a task: a task that is absent from a step gets no gradient there, not a
    gradient of zero, so that neither an optimiser's momentum nor its decay moves it.

    Args:
        text: the text prompt inside.
        length: P, places of the prompt; for each task its own by a mapping.
        init: what the rows start from (see `Start`); for each task its own by a mapping.
        shared: one row for all tasks, which then share the trunk's work as far as their text prompts are alike.
        learning_rate: of the prompt; `None`: the optimiser's.
    """

    inits: ClassVar[Sequence[str]] = INITS

    def __init__(
        self,
        text: Prompt,
        length: Length = 20,
        init: Init | Mapping[str, Init] = "vocabulary",
        shared: bool = False,
        learning_rate: float | None = None,
    ) -> None:
        super().__init__()
        for place in length.values() if isinstance(length, Mapping) else [length]:
            if not isinstance(place, int) or place < 1:
                raise MtlError(f"length should be a whole number of at least 1. Found {place!r}")
        for value in init.values() if isinstance(init, Mapping) else [init]:
            if isinstance(value, str) and value not in self.inits:
                raise MtlError(f"init should be {choices(self.inits)}, or a list of words. Found '{value}'")
        for name, value in {"length": length, "init": init}.items():
            if shared and isinstance(value, Mapping):
                raise MtlError(f"{name} should be one for all tasks of a shared prompt. Found {dict(value)}")
        if learning_rate is not None and not learning_rate > 0:
            raise MtlError(f"learning_rate should be positive. Found {learning_rate}")
        self.text, self.length, self.init = text, length, init
        self.shared, self.learning_rate = shared, learning_rate
        self.rows = nn.ModuleDict()

    def check(self, tasks: Iterable[str]) -> None:
        """MtlError where an option names a task that the run doesn't have."""
        there = list(tasks)
        self.text.check(there)
        for field, option in {"length": self.length, "init": self.init}.items():
            known(field, option if isinstance(option, Mapping) else (), there)

    # how the task is announced in words: as the text prompt does it

    def fit(self, task: Task, texts: Iterable[str]) -> None:
        """Fit the text prompt; a task without a length is refused."""
        self.places(task.name)
        self.text.fit(task, texts)

    def render(self, task: Task, text: str) -> tuple[str, str]:
        """As the text prompt."""
        return self.text.render(task, text)

    def signature(self, task: Task) -> Hashable:
        """The row, and what the text prompt says."""
        return self.row(task.name), self.text.signature(task)

    def wording(self, task: Task) -> str:
        """The text prompt's, and the task's own words that the rows start from."""
        return " ".join(part for part in (self.text.wording(task), *words_of(self.start(task.name), task)) if part)

    def state(self) -> dict[str, Any]:
        """The text prompt's; the table is among the weights."""
        return self.text.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The text prompt's."""
        self.text.load_state(state)

    def places(self, task: str) -> int:
        """P of the task."""
        return _of(self.length, task, "length")

    def computed(self, task: str) -> int:
        """Those of P that the trunk computes as it does a token's."""
        return 0

    def start(self, task: str) -> Init:
        """What the task's row starts from."""
        return _of(self.init, task, "init")

    # the table

    def row(self, task: str) -> str:
        """The row of a task."""
        return ALL if self.shared else task

    def make(self, trunk: Trunk, tasks: Mapping[str, Task], vocabulary: Encoder, seed: int) -> None:
        """Make the rows; each from a random state of its own, so that other tasks of the run don't matter to it.

        Raises:
            MtlError: the trunk can't take this prompt, or a row can't start as asked.
        """
        for name in tasks:
            row = self.row(name)
            if row in self.rows:
                continue
            theirs = [task for task in tasks.values() if self.row(task.name) == row]
            start = Start(trunk, theirs, vocabulary, seed, row)
            with start.random():
                self.rows[row] = self.make_row(start, self.start(name), self.places(name))

    @abstractmethod
    def make_row(self, start: Start, init: Init, places: int) -> nn.Module:
        """The parameters of one row."""

    @abstractmethod
    def forward(self, trunk: Trunk, batch: Batch) -> Tensor:
        """Features of the batch's own tokens, U x L x D: places of the prompt are left out again."""

    def pool(self, trunk: Trunk, features: Tensor, batch: Batch) -> Tensor:
        """U x L x D to U x D, as the trunk does."""
        return trunk.pool(features, batch.lengths)

    def kept(self) -> dict[str, Tensor]:
        """What a saved prompt holds: all parameters, unless a member needs fewer after training."""
        return {name: value.detach() for name, value in self.state_dict().items()}

    def take(self, kept: Mapping[str, Tensor]) -> None:
        """Take back what `kept` gave."""
        self.load_state_dict(kept)

    def whose(self, batch: Batch) -> dict[str, Tensor]:
        """For each row that the batch asks for its distinct inputs, as positions in the batch; MtlError where the table
        doesn't know a task.
        """
        everything = torch.arange(len(batch.ids), device=batch.ids.device)
        found: dict[str, list[Tensor]] = {}
        for name, rows in batch.tasks.items():
            if self.row(name) not in self.rows:
                raise MtlError(f"prompt: the table has rows for {', '.join(self.rows)}. Found task '{name}'")
            found.setdefault(self.row(name), []).append(everything if rows.inputs is None else rows.inputs)
        return {row: torch.cat(parts).unique() for row, parts in found.items()}

    def idle(self, tasks: Iterable[str]) -> set[str]:
        """Names of the parameters that belong to other tasks than these."""
        used = {self.row(name) for name in tasks}
        return {name for name, _ in self.named_parameters() if name[:5] == "rows." and name.split(".")[1] not in used}


def _of(option: Any, task: str, field: str) -> Any:
    if not isinstance(option, Mapping):
        return option
    if task not in option:
        raise MtlError(f"prompt: {field} should have a value for each task. Missing: {task}")
    return option[task]
