"""The generation head: a decoder says a task's answer after the text, and what it says is read as labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.data.batch import Batch, TaskRows
from mtl.model.base import Trunk
from mtl.model.cloze.words import Word
from mtl.model.pretrained.trunk import Pretrained

NONE = -100
"""Not a token."""


@dataclass(frozen=True)
class Answers:
    """What a task's answers are, as ids and as text.

    Args:
        words: of each label; the first is what is learned, all are understood.
        spelled: each word as text, to its label.
        none: what is said where there is no label; `None`: there is exactly one.
        comma: what stands between the words of several labels.
    """

    words: Sequence[Sequence[Word]]
    spelled: Mapping[str, int]
    none: tuple[Word, str] | None = None
    comma: Word = ()

    def of(self, target: Tensor) -> Word:
        """The answer for a target: a label's number, or C zeros and ones."""
        if self.none is None:
            return self.words[int(target)][0]
        chosen = [self.words[label][0] for label in target.nonzero().flatten().tolist()]
        if not chosen:
            return self.none[0]
        first, *others = chosen
        return sum(((*self.comma, *word) for word in others), first)

    def read(self, text: str) -> Tensor:
        """C numbers: 1 for each label that the text says, 0 for the others; -1 for all where it says anything else."""
        said = torch.zeros(len(self.words))
        if self.none is not None and text.strip() == self.none[1]:
            return said
        found = [self.spelled.get(part.strip()) for part in ([text] if self.none is None else text.split(","))]
        if any(label is None for label in found):
            return said - 1
        said[found] = 1
        return said

    @property
    def longest(self) -> int:
        """Tokens of the longest answer that is learned."""
        if self.none is None:
            return max(len(words[0]) for words in self.words)
        joined = sum(len(words[0]) + len(self.comma) for words in self.words) - len(self.comma)
        return max(joined, len(self.none[0]))


class Generation:
    """Learns by the mean negative log-likelihood of the answer's tokens and of the end after them, each given the text
    and the tokens before it; answers by the likeliest token, one after another, until the end or as many tokens as the
    longest answer and its end have. Places of a learned prompt are in neither.

    Args:
        answers: of each task.
        end: the token that ends an answer.
        after: how many special tokens the tokenizer puts after a text: an answer stands in their place.
        decode: ids to text.
    """

    def __init__(
        self, answers: Mapping[str, Answers], end: int, after: int, decode: Callable[[Sequence[int]], str]
    ) -> None:
        self.answers, self.end, self.after, self.decode = answers, end, after, decode

    def expand(self, batch: Batch) -> Batch:
        """The batch with each row's right answer after its text, all but the end: an input for each row of a task."""
        source, answers, tasks = [], [], {}
        for name, rows in batch.tasks.items():
            inputs = _inputs(batch, name)
            places = torch.arange(len(answers), len(answers) + len(inputs), device=inputs.device)
            tasks[name] = TaskRows(places, rows.targets)
            source.append(inputs)
            answers += [self.answers[name].of(target) for target in rows.targets]
        at = torch.cat(source)
        lengths = batch.lengths[at] - self.after
        said = _block(answers, at.device, 0)
        counts = torch.tensor(list(map(len, answers)), device=at.device)
        ids = F.pad(batch.ids[at], (0, max(0, int((lengths + counts).max()) - batch.ids.shape[1])))
        step = torch.arange(ids.shape[1], device=at.device) - lengths[:, None]
        inside = (step >= 0) & (step < counts[:, None])
        ids = torch.where(inside, said.gather(1, step.clamp(0, said.shape[1] - 1)), ids)
        return replace(_rows(batch, at), ids=ids, lengths=lengths + counts, tasks=tasks, answer_at=lengths)

    def score(self, name: str, batch: Batch, features: Tensor, answer: Callable[[Tensor], Tensor]) -> Tensor:
        """R x 1, nats a token, in an expanded batch.

        Args:
            name: of the task.
            batch: expanded.
            features: U x L x D.
            answer: features to logits over the vocabulary.
        """
        inputs = _inputs(batch, name)
        wanted = [(*self.answers[name].of(target), self.end) for target in batch.tasks[name].targets]
        tokens_RQ = _block(wanted, features.device, NONE)
        counts = (tokens_RQ != NONE).sum(1)
        step = torch.arange(tokens_RQ.shape[1], device=features.device)
        at_RQ = (batch.lengths[inputs] - counts)[:, None] + torch.minimum(step, counts[:, None] - 1)
        logits_RQV = answer(features[inputs[:, None], at_RQ])
        lost = F.cross_entropy(logits_RQV.flatten(0, 1), tokens_RQ.flatten(), ignore_index=NONE, reduction="none")
        return lost.view_as(tokens_RQ).sum(1, keepdim=True) / counts[:, None]

    @torch.no_grad()
    def generate(self, name: str, batch: Batch, trunk: Trunk, features: Callable[[Batch], Tensor]) -> Tensor:
        """R x Q ids that the model goes on with after each row of a task; `end` behind the first one.

        Args:
            name: of the task.
            batch: as it is, not expanded.
            trunk: that remembers what it read.
            features: of a batch, by way of its prompt.
        """
        assert isinstance(trunk, Pretrained)
        inputs = _inputs(batch, name)
        own = replace(_rows(batch, inputs), tasks={name: TaskRows(None, batch.tasks[name].targets)})
        own = replace(own, lengths=own.lengths - self.after)
        with trunk.remembering() as memory:
            read = features(own)
        last, said = read[torch.arange(len(inputs), device=read.device), own.lengths - 1], []
        done = torch.zeros(len(inputs), dtype=torch.bool, device=read.device)
        for step in range(self.answers[name].longest + 1):
            if step:
                last = trunk.go_on(said[-1], memory)
            said.append(trunk.answer(last).argmax(-1).masked_fill(done, self.end))
            done = done | (said[-1] == self.end)
            if done.all():
                break
        return torch.stack(said, dim=1)

    def say(self, name: str, batch: Batch, trunk: Trunk, features: Callable[[Batch], Tensor]) -> Tensor:
        """R x C: what the answers of a task say of each label; see `Answers.read`. Arguments as of `generate`."""
        ids = self.generate(name, batch, trunk, features)
        texts = [self.decode(row[: row.index(self.end)] if self.end in row else row) for row in ids.tolist()]
        return torch.stack([self.answers[name].read(text) for text in texts]).to(ids.device)


def _inputs(batch: Batch, name: str) -> Tensor:
    inputs = batch.tasks[name].inputs
    return torch.arange(len(batch.ids), device=batch.ids.device) if inputs is None else inputs


def _rows(batch: Batch, at: Tensor) -> Batch:
    """What the batch holds of these inputs."""
    return replace(batch, **{f.name: v[at] for f in fields(batch) if isinstance(v := getattr(batch, f.name), Tensor)})


def _block(rows: Sequence[Word], device: torch.device, padding: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows], device=device)
