"""What a conversation about one task does to the answers of a model to another (Gupta et al. 2024, "LLM Task
Interference: An Initial Study on the Impact of Task-Switch in Conversational History"; formulas as in their code).

u is a row of the target task as it is announced, h_L a history of L turns, P(r | u, h_L) the probability that the
model gives to the words of label r after both; r_0 and r_L are the labels that it answers with, without and with the
history, r* the true one. Expectations are means over the rows u.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Sensitivities(NamedTuple):
    """One number a row each, in nats; their means are the three sensitivities. Positive: the history takes away."""

    zero_shot: Tensor
    confidence: Tensor
    loss: Tensor


def performance_change(with_history: float, without: float) -> float:
    """100 (M_L - M_0) / M_0, in percent of a score without a history; nan where that is 0."""
    return 100 * (with_history - without) / without if without else math.nan


def sensitivities(before: Tensor, after: Tensor, first: Tensor, final: Tensor, true: Tensor) -> Sensitivities:
    """The task-switch sensitivities, row by row.

        zero-shot   tau = E[log P(r_0 | u) - log P(r_0 | u, h_L)]
        confidence        E[log P(r_0 | u) - log P(r_L | u, h_L)]
        loss              E[log P(r* | u) - log P(r* | u, h_L)]

    Args:
        before: R x C log P(r | u) of each label.
        after: R x C log P(r | u, h_L).
        first: R labels r_0.
        final: R labels r_L.
        true: R labels r*.
    """

    def of(said: Tensor, label: Tensor) -> Tensor:
        return said.gather(1, label[:, None])[:, 0]

    return Sensitivities(
        of(before, first) - of(after, first),
        of(before, first) - of(after, final),
        of(before, true) - of(after, true),
    )


def switch_cost(own: Tensor, other: Tensor, true: Tensor) -> Tensor:
    """R numbers in nats: log P(r* | u, h_L of the same task) - log P(r* | u, h_L of another one).

    Ours, after the switch cost of experiments with people, which is measured against a repetition of the task: what the
    true label loses because the turns before it are another task's, where the loss sensitivity also has what any
    turns change. Positive: the switch takes away. With logarithms that are normalised over the labels it is the part of
    the cost that is which label is said; the rest is whether one is said at all.

    Args:
        own: R x C log P(r | u, h_L) of each label, after turns of the same task.
        other: the same after as many of another one.
        true: R labels r*.
    """
    return (own - other).gather(1, true[:, None])[:, 0]


def strays(logits: Tensor, beginnings: Tensor) -> Tensor:
    """Format failures under label scoring (ours): R bools, whether the most probable next token begins no label word.

    Gupta et al. count generated answers that can't be read as one; nothing is generated here. This says whether greedy
    generation would leave the format with its first token.

    Args:
        logits: R x V, of the token that follows the announced row.
        beginnings: ids of the first token of each word of each label.
    """
    return ~torch.isin(logits.argmax(1), beginnings)
