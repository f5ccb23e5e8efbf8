"""The cloze head: a label's score is the log-probability that the trunk's own language model gives to its words.

A masked model fills in the mask: m masks for a word of m pieces, log p = sum_j log p(w_j | all m masks), as Schick and
Schütze (2021, "It's not just size that matters") do in training. A causal model goes on after the text:
log p = sum_j log p(w_j | text, w_<j). A label of several words has the mean of their probabilities.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from mtl.data.batch import Batch, TaskRows
from mtl.model.cloze.words import Word

CONTENT_FREE = ("N/A", "[MASK]")
"""Texts that say nothing, for contextual calibration; Zhao et al. (2021) also take the empty one."""


@dataclass(frozen=True)
class Plan:
    """How a task's label words are read off: `variants` are what is put into its inputs, S in all; `places` are the Q
    (variant, step) whose distributions are needed; `picks` are (place, token, word) of each piece of each word;
    `labels` are the words of each label.
    """

    variants: tuple[Word, ...]
    places: tuple[tuple[int, int], ...]
    picks: tuple[tuple[int, int, int], ...]
    labels: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, words: Sequence[Sequence[Word]], mask: int | None) -> "Plan":
        """The fewest inputs that show all words; `mask` for a masked model, `None` for a causal one."""
        flat = [word for of_label in words for word in of_label]
        if mask is None:
            needed = {word[:-1] for word in flat}
            variants = sorted(w for w in needed if not any(o != w and o[: len(w)] == w for o in needed))
        else:
            variants = sorted({(mask,) * (len(word) - 1) for word in flat})
        places: dict[tuple[int, int], int] = {}
        picks = []
        for number, word in enumerate(flat):
            for step, token in enumerate(word):
                if mask is None:
                    variant = next(i for i, v in enumerate(variants) if v[:step] == word[:step])
                else:
                    variant = variants.index((mask,) * (len(word) - 1))
                picks.append((places.setdefault((variant, step), len(places)), token, number))
        numbers = iter(range(len(flat)))
        return cls(tuple(variants), tuple(places), tuple(picks), tuple(tuple(next(numbers) for _ in w) for w in words))

    def words_of(self, label: int) -> list[Word]:
        """The words of a label, as they were given."""
        return [tuple(token for _, token, of in self.picks if of == number) for number in self.labels[label]]

    @property
    def beginnings(self) -> tuple[int, list[int]]:
        """The place where a word's first piece is said, and all first pieces; for a causal model, which has one such
        distribution: what follows the text.
        """
        firsts = [(place, token) for place, token, _ in self.picks if self.places[place][1] == 0]
        return firsts[0][0], sorted({token for _, token in firsts})


class ClozeHead(nn.Module):
    """Scores of a task's labels from the distributions at its places.

    Args:
        plan: of the task.
        bias: learn a number for each label, zero at first.
    """

    prior: Tensor

    def __init__(self, plan: Plan, bias: bool) -> None:
        super().__init__()
        self.plan = plan
        self.register_buffer("prior", torch.zeros(len(plan.labels)))
        self.bias = nn.Parameter(torch.zeros(len(plan.labels))) if bias else None

    def forward(self, logits: Tensor) -> Tensor:
        """R x Q x V logits over the vocabulary to R x C log-probabilities, less the prior."""
        return self.adjusted(self.said(logits))

    def said(self, logits: Tensor) -> Tensor:
        """R x C: what the language model itself gives to the labels' words, as log-probabilities."""
        places, tokens, words = torch.tensor(self.plan.picks, device=logits.device).T
        pieces = logits.log_softmax(-1)[:, places, tokens]
        said = pieces.new_zeros(len(pieces), int(words.max()) + 1).index_add(1, words, pieces)
        return torch.stack([said[:, list(of)].logsumexp(1) - math.log(len(of)) for of in self.plan.labels], dim=1)

    def adjusted(self, said: Tensor) -> Tensor:
        """R x C scores of the labels: less the prior, and with what was learned for each label."""
        scores = said - self.prior
        return scores if self.bias is None else scores + self.bias

    @torch.no_grad()
    def calibrate(self, scores: Tensor) -> None:
        """Divide by what texts without content get (Zhao et al. 2021): F x C scores of F such texts.

        p(label | x) / p(label | no content), both normalised over the labels and the latter averaged over the texts.
        """
        self.prior += scores.log_softmax(-1).logsumexp(0) - math.log(len(scores))


class Cloze:
    """Puts what the words need into a batch, and finds in the features what their scores are read from.

    Args:
        words: of each task, label by label, as ids.
        mask: the id of the mask; `None` for a causal model.
        end: how many special tokens stand after a text.
    """

    def __init__(self, words: Mapping[str, Sequence[Sequence[Word]]], mask: int | None, end: int) -> None:
        self.plans = {name: Plan.of(of_task, mask) for name, of_task in words.items()}
        self.mask, self.end = mask, end
        self._all = sorted({variant for plan in self.plans.values() for variant in plan.variants})

    def expand(self, batch: Batch) -> Batch:
        """The batch with each task's inputs in the S variants of its words: R x S inputs for R rows, in that order."""
        device, U = batch.ids.device, len(batch.ids)
        keys = []
        for name, rows in batch.tasks.items():
            inputs = torch.arange(U, device=device) if rows.inputs is None else rows.inputs
            variants = torch.tensor([self._all.index(v) for v in self.plans[name].variants], device=device)
            keys.append((inputs[:, None] * len(self._all) + variants).flatten())
        distinct, places = torch.unique(torch.cat(keys), return_inverse=True)
        source = distinct // len(self._all)
        shares = zip(batch.tasks.items(), places.split([len(part) for part in keys]), strict=True)
        tasks = {name: TaskRows(at, rows.targets) for (name, rows), at in shares}
        same = {f.name: getattr(batch, f.name) for f in fields(batch) if f.name not in ("ids", "lengths", "tasks")}
        others = {name: value[source] for name, value in same.items() if isinstance(value, Tensor)}
        at = self._slot(batch.ids[source], batch.lengths[source])
        ids, lengths = self._insert(batch.ids[source], batch.lengths[source], distinct % len(self._all))
        more = lengths - batch.lengths[source]
        if self.mask is None:
            others["answer_at"] = at
        else:
            others["masks"] = torch.stack((at, at + more), dim=1)
            if batch.bounds is not None:  # a text behind the mask goes further back
                others["bounds"] += more[:, None] * (others["bounds"] >= at[:, None])
        return replace(batch, ids=ids, lengths=lengths, tasks=tasks, **others)

    def read(self, name: str, batch: Batch, features: Tensor) -> Tensor:
        """The features that the words of a task are read from, R x Q x D, in an expanded batch."""
        plan, device = self.plans[name], features.device
        inputs = batch.tasks[name].inputs
        inputs = torch.arange(len(batch.ids), device=device) if inputs is None else inputs
        rows = inputs.view(-1, len(plan.variants))
        slots = self._slot(batch.ids, batch.lengths) if batch.answer_at is None else batch.answer_at
        begins = slots[rows] - 1
        variants, steps = torch.tensor(plan.places, device=device).T
        return features[rows[:, variants], begins[:, variants] + steps]

    def _slot(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Where something would be put in: behind the first mask, or at the end of the text."""
        return lengths - self.end if self.mask is None else (ids == self.mask).byte().argmax(1) + 1

    def _insert(self, ids: Tensor, lengths: Tensor, variant: Tensor) -> tuple[Tensor, Tensor]:
        longest = max(map(len, self._all))
        table = torch.tensor([[*v, *[0] * (longest - len(v) + 1)] for v in self._all], device=ids.device)[variant]
        counts = torch.tensor([len(v) for v in self._all], device=ids.device)[variant][:, None]
        at = self._slot(ids, lengths)[:, None]
        columns = torch.arange(int((lengths + counts[:, 0]).max()), device=ids.device)[None]
        kept = torch.where(columns < at, columns, columns - counts).clamp(0, ids.shape[1] - 1)
        new = table.gather(1, (columns - at).clamp(0, longest))
        inside = (columns >= at) & (columns < at + counts)
        return torch.where(inside, new, ids.gather(1, kept)), lengths + counts[:, 0]
