"""Prompts that are vectors among the embedded tokens of a text."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from mtl.data.batch import Batch
from mtl.data.encoder import Encoder
from mtl.data.inputs import PLACE
from mtl.data.task import Task
from mtl.errors import MtlError, choices
from mtl.functional import pooling
from mtl.model.base import Trunk
from mtl.model.prompt.base import Learned, Length
from mtl.model.prompt.start import Init
from mtl.prompts.base import Prompt

Slot = Literal["start", "before", "inside", "after", "end"]
COLUMN = {"before": 0, "after": 1, "inside": 2}
"""Of a batch's `bounds`."""


@dataclass(frozen=True, eq=False)
class Read:
    """The inputs that one row of the table is put into, for prompts that look at them.

    Args:
        batch: the whole batch.
        embedded: U x L x E, of the whole batch.
        at: u positions in the batch: the inputs that are meant.
    """

    batch: Batch
    embedded: Tensor
    at: Tensor


class Inserted(Learned):
    """P vectors stand in a slot of the announced text: at its `start`, right `before` or `after` the text itself, that
    is between it and the words of a text prompt, `inside` these words, where a phrase says `{prompt}`, or at the `end`.

    Rows of one batch may have prompts of different lengths. Each row is closed up, so that positions are counted over
    what is there, and the features of the prompt's places are taken out before anybody pools or scores them.

    In a causal trunk no token knows of what stands after it. Where such a row ends with the prompt, what its last place
    knows stands in for the features of the row's last token: it is what the text comes to, whatever the trunk's
    pooling, and what the first word of an answer follows. A task that tags tokens can't have its prompt there.
    """

    def __init__(
        self,
        text: Prompt,
        length: Length = 20,
        init: Init | Mapping[str, Init] = "vocabulary",
        slot: Slot = "start",
        shared: bool = False,
        learning_rate: float | None = None,
    ) -> None:
        super().__init__(text, length, init, shared, learning_rate)
        if slot not in get_args(Slot):
            raise MtlError(f"slot should be {choices(get_args(Slot))}. Found '{slot}'")
        self.slot = slot

    def make(self, trunk: Trunk, tasks: Mapping[str, Task], vocabulary: Encoder, seed: int) -> None:
        """As every prompt."""
        tags = [name for name, task in tasks.items() if task.kind.per_token]
        behind = [name for name in tags if self.slot in ("after", "end") or self._inside_behind(tasks[name])]
        if trunk.causal and behind:
            raise MtlError(
                f"prompt: slot should be start or before: task {behind[0]} tags tokens, and in this trunk they know "
                f"only what stands before them. Found '{self.slot}'"
            )
        super().make(trunk, tasks, vocabulary, seed)

    def _inside_behind(self, task: Task) -> bool:
        """Whether `{prompt}` stands behind the text."""
        return self.slot == "inside" and PLACE in self.text.render(task, "")[1]

    @abstractmethod
    def vectors(self, row: str, read: Read | None) -> Tensor:
        """P x E, or u x P x E where the prompt depends on the input.

        Args:
            row: of the table.
            read: the inputs; `None`: none in particular, an MtlError where the prompt depends on them.
        """

    def fit(self, task: Task, texts: Iterable[str]) -> None:
        """Fit the text prompt; for `slot=inside` its words should say where."""
        super().fit(task, texts)
        if self.slot == "inside" and PLACE not in "".join(self.text.render(task, "")):
            raise MtlError(
                f"prompt: slot=inside needs prompt/text=phrase and {PLACE} in task {task.name}'s phrase. Found none"
            )

    def virtual(self, task: str) -> int:
        """The prompt takes as many places as it is long."""
        return self.places(task)

    def computed(self, task: str) -> int:
        """All."""
        return self.places(task)

    def forward(self, trunk: Trunk, batch: Batch) -> Tensor:
        """U x L x D."""
        embedded = trunk.embed(batch.ids)
        U, L, E = embedded.shape
        found = [(at, self.vectors(row, Read(batch, embedded, at))) for row, at in self.whose(batch).items()]
        vectors = embedded.new_zeros(U, max(part.shape[-2] for _, part in found), E)
        counts = torch.zeros_like(batch.lengths)
        for at, part in found:
            P = part.shape[-2]
            vectors[at, :P] = part.to(vectors.dtype)
            counts[at] = P
        if self.slot == "end" and (known := trunk.follow(vectors, counts, batch.ids, batch.lengths)) is not None:
            last = pooling.last(known, counts)[:, None]
            return torch.where((torch.arange(L, device=last.device) == batch.lengths[:, None] - 1)[..., None], last, 0)
        place = self._place(batch)
        placed, inside, positions, back = insert(embedded, batch.lengths, vectors, counts, place)
        tokens = torch.arange(L, device=place.device)
        back = back + ((tokens == place[:, None] - 1) & self._closes(trunk, batch)[:, None]) * counts[:, None]
        return trunk.encode(placed, inside, positions).take_along_dim(back[..., None], 1)

    def pool(self, trunk: Trunk, features: Tensor, batch: Batch) -> Tensor:
        """U x L x D to U x D: as the trunk does, but what the prompt's last place knows where a causal row ends so."""
        pooled, last = super().pool(trunk, features, batch), pooling.last(features, batch.lengths)
        return torch.where(self._closes(trunk, batch)[:, None], last, pooled)

    def unread(self, trunk: Trunk, batch: Batch) -> Tensor:
        """U bools: a causal row whose first token knows nothing of the prompt, which stands behind it, nor is replaced
        by the prompt's last place.
        """
        return (self._place(batch) > 0) & ~self._closes(trunk, batch) & trunk.causal

    def _closes(self, trunk: Trunk, batch: Batch) -> Tensor:
        """U bools: a causal row that ends with the prompt."""
        return (self._place(batch) == batch.ends) & trunk.causal

    def _place(self, batch: Batch) -> Tensor:
        if self.slot in COLUMN:
            if batch.bounds is None:
                raise MtlError(f"slot={self.slot} needs inputs that know where their text is. Found none")
            return batch.bounds[:, COLUMN[self.slot]]
        return torch.zeros_like(batch.lengths) if self.slot == "start" else batch.ends


def insert(
    embedded: Tensor, lengths: Tensor, vectors: Tensor, counts: Tensor, place: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Put the first `counts` of each row's vectors before the token at `place`; rows stay padded on the right.

    Args:
        embedded: U x L x E.
        lengths: U tokens of each row.
        vectors: U x P x E.
        counts: U.
        place: U, from 0 to the row's length.

    Returns:
        U x (L + P) x E; U x (L + P) bools, what is there; U x (L + P) positions; U x L, where each token went.
    """
    L, P = embedded.shape[1], vectors.shape[1]
    to = torch.arange(L + P, device=embedded.device).expand(len(embedded), -1)
    begin, end = place[:, None], (place + counts)[:, None]
    source = torch.where(to < begin, to, torch.where(to < end, L + to - begin, to - counts[:, None])).clamp(
        max=L + P - 1
    )
    inside = to < (lengths + counts)[:, None]
    placed = torch.cat((embedded, vectors), dim=1).take_along_dim(source[..., None], 1)
    positions = torch.minimum(to, (lengths + counts - 1)[:, None])
    tokens = to[:, :L]
    return placed, inside, positions, torch.where(tokens < begin, tokens, tokens + counts[:, None])
