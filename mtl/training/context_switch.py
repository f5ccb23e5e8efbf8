"""Scores each task of a decoder after turns of another task, or of its own (Gupta et al. 2024)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mtl.data.batch import Batch, TaskRows
from mtl.data.encoder import Encoder
from mtl.data.inputs import Inputs
from mtl.data.task import LabelledRows
from mtl.functional.context_switch import performance_change, sensitivities, strays, switch_cost
from mtl.functional.switch_cost import Estimate, estimate
from mtl.model.cloze.cloze import ClozeHead
from mtl.model.multitask import MultiTaskModel
from mtl.prompts.base import Prompt
from mtl.training.conversation import Histories, after, check_room, random_of, told

ROWS_AT_ONCE = 8
Job = tuple[str, str, int]
"""Task of the history, task that is scored, turns."""


@dataclass(frozen=True)
class Scored:
    """R rows of a task.

    Args:
        said: R x C log-probabilities of the labels' words.
        scores: R x C, what the run's head makes of them: its answer is the highest.
        strays: R bools, whether the most probable next token begins no label word.
    """

    said: Tensor
    scores: Tensor
    strays: Tensor


@dataclass(frozen=True)
class Line:
    """What a history of one task does to another: `history` is empty and `turns` 0 for rows that stand alone.

    Args:
        history: task of the turns.
        task: that is scored after them.
        turns: L.
        rows: of the task.
        metric: its primary one.
        score: M_L.
        uncalibrated: the same for the labels whose words are the most probable, without what the head adds: its
            calibration belongs to rows that stand alone.
        change: 100 (M_L - M_0) / M_0.
        zero_shot, confidence, loss: the sensitivities, in nats, with bootstrap intervals over the rows.
        failures: share of rows whose most probable next token begins no label word.
        switch: the cost of the switch, against as many turns of the task itself; `None` where it isn't switched.
        choice: the part of it that is which label is said, and not whether one is.
        repeats: share of rows whose most probable label is that of the last turn, where this is of the same task.
    """

    history: str
    task: str
    turns: int
    rows: int
    metric: str
    score: float
    uncalibrated: float
    change: float
    zero_shot: Estimate
    confidence: Estimate
    loss: Estimate
    failures: float
    switch: Estimate | None
    choice: Estimate | None
    repeats: float | None


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Args:
        turns: lengths of the histories.
        rows: of each task, or all where it has fewer.
        split: that they come from.
        seed: of the choice of rows and histories.
    """

    turns: Sequence[int]
    rows: int
    split: str
    seed: int


def measure(
    model: MultiTaskModel,
    tasks: Mapping[str, LabelledRows],
    prompt: Prompt,
    encoder: Encoder,
    max_length: int,
    asked: Asked,
    watch: Callable[[Sequence[Job]], Iterable[Job]] = iter,
) -> list[Line]:
    """Each task alone, then after histories of each task, of each length; the same rows and the same histories.

    Args:
        model: with cloze heads on a causal trunk; evaluated on the device where it is.
        tasks: its tasks with their rows.
        prompt: fitted.
        encoder: the trunk's tokenizer.
        max_length: tokens of a row, as in training.
        asked: turns, rows, split, seed.
        watch: goes through the jobs, to show how far they are.
    """
    model.eval()
    chosen = {
        name: random_of(asked.seed, "rows", name).permutation(np.sort(rows.rows[asked.split]))[: asked.rows]
        for name, rows in tasks.items()
    }
    targets = {name: told(rows, chosen[name], prompt, encoder, max_length) for name, rows in tasks.items()}
    most, count = max(asked.turns), max(map(len, chosen.values()))
    plans = {name: _head(model, name).plan for name in tasks}
    histories = {
        name: Histories(rows, plans[name], prompt, encoder, max_length, most, count, asked.seed)
        for name, rows in tasks.items()
    }
    taken = {name: prompt.virtual(name) + max(map(len, plans[name].variants)) for name in tasks}
    check_room(targets, histories, taken, most, encoder.limit)
    jobs: list[Job] = [("", task, 0) for task in tasks]
    jobs += [(history, task, turns) for history in tasks for task in tasks for turns in sorted(set(asked.turns))]
    found: dict[Job, Scored] = {}
    for history, name, turns in watch(jobs):
        inputs = targets[name]
        if turns:
            inputs = after(inputs, histories[history].ids(turns)[: len(chosen[name])], encoder)
        found[history, name, turns] = score(model, name, inputs)
    last = {(own, own, turns): histories[own].answered_last(turns) for own in tasks for turns in asked.turns}
    return [_line(job, tasks[job[1]], chosen[job[1]], found, last.get(job)) for job in jobs]


@torch.no_grad()
def score(model: MultiTaskModel, name: str, inputs: Inputs) -> Scored:
    """Log-probabilities of the label words of a task after each row of its inputs."""
    head, cloze = _head(model, name), model.cloze
    assert cloze is not None
    place, beginnings = head.plan.beginnings
    found: list[tuple[Tensor, Tensor]] = []
    order = np.argsort(inputs.lengths, kind="stable")
    for batch in _batches(inputs, name, order, next(model.parameters()).device):
        wider = model.asked(batch)
        logits = model.trunk.answer(cloze.read(name, wider, model.features(wider)))
        found.append((head.said(logits), strays(logits[:, place], torch.tensor(beginnings, device=logits.device))))
    back = torch.from_numpy(np.argsort(order, kind="stable"))
    said, strayed = (torch.cat(parts)[back.to(parts[0].device)] for parts in zip(*found, strict=True))
    return Scored(said.cpu(), head.adjusted(said).cpu(), strayed.cpu())


def _batches(inputs: Inputs, name: str, order: np.ndarray, device: torch.device) -> Iterator[Batch]:
    """Rows of a like length together."""
    whole = Batch.of(inputs, name)
    for part in torch.from_numpy(order).split(ROWS_AT_ONCE):
        batch = whole.only(part, {name: TaskRows(None, torch.zeros(len(part)))})
        yield replace(batch, ids=batch.ids[:, : int(batch.lengths.max())]).to(device)


def _head(model: MultiTaskModel, name: str) -> ClozeHead:
    head = model.heads[name]
    assert isinstance(head, ClozeHead)
    return head


def _line(
    job: Job, rows: LabelledRows, chosen: np.ndarray, found: Mapping[Job, Scored], last: Sequence[int] | None
) -> Line:
    history, name, turns = job
    alone, scored = found["", name, 0], found[job]
    true = torch.tensor([int(rows.targets[row]) for row in chosen])

    def performance(scores: Tensor) -> float:
        return float(rows.task.kind.metrics()[rows.task.metric](scores, true))

    first, final = alone.scores.argmax(1), scored.scores.argmax(1)
    changes = sensitivities(alone.said, scored.said, first, final, true)
    own = found[name, name, turns].said if turns > 0 and history != name else None

    def cost(of: Callable[[Tensor], Tensor]) -> Estimate | None:
        return None if own is None else estimate(switch_cost(of(own), of(scored.said), true).tolist())

    return Line(
        history,
        name,
        turns,
        len(true),
        rows.task.metric,
        performance(scored.scores),
        performance(scored.said),
        performance_change(performance(scored.scores), performance(alone.scores)),
        *(estimate(part.tolist()) for part in changes),
        failures=float(scored.strays.float().mean()),
        switch=cost(lambda said: said),
        choice=cost(lambda said: said.log_softmax(1)),
        repeats=None if last is None else _share_equal(scored.said.argmax(1), last),
    )


def _share_equal(answers: Tensor, labels: Sequence[int]) -> float:
    return float((answers == torch.tensor(labels)[: len(answers)]).float().mean())
