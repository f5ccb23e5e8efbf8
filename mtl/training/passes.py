"""Rows through trunk and heads, and back to what the heads read: the gradients of all tasks there, apart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mtl.data.batch import Batch, TaskRows
from mtl.model.multitask import MultiTaskModel

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Pass:
    """K tasks on one part of a step's rows; a task without rows there has a loss and gradients of zero.

    Args:
        losses: K mean losses, detached, times the tasks' shares in the step; so are their gradients.
        read: K tensors that the heads read, with their graph; of each task's own rows if `apart`, else one for all.
        at_features: K gradients there.
        at_heads: K gradients of the heads' parameters.
        apart: whether the tasks went through the trunk one by one.
    """

    losses: Tensor
    read: Sequence[Tensor]
    at_features: Sequence[Tensor]
    at_heads: Sequence[Sequence[Tensor]]
    apart: bool

    def at(self, kept: Sequence[int]) -> "Pass":
        """With the features of some of the tasks, by place in the step."""
        read, at_features = ([all_K[place] for place in kept] for all_K in (self.read, self.at_features))
        return replace(self, read=read, at_features=at_features)

    def through_trunk(self, chosen: Sequence[Tensor], keep: bool) -> list[Sequence[Tensor]]:
        """K gradients at the chosen parameters, one backward each; `keep`: there will be another one after them."""
        found: list[Sequence[Tensor]] = []
        for place, (features, gradient) in enumerate(zip(self.read, self.at_features, strict=True)):
            again = keep or (not self.apart and place < len(self.read) - 1)
            got = torch.autograd.grad(
                features, chosen, gradient, retain_graph=again, allow_unused=True, materialize_grads=True
            )
            found.append([part.coalesce() if part.is_sparse else part for part in got])
            del got  # the same rows, one for each time they were read: not to stand beside the next task's graph
        return found

    def combined(self, weights: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What was read, and the weighted gradient there."""
        if not self.apart:
            return [(self.read[0], weighted(weights, self.at_features))]
        shares = zip(self.read, weights, self.at_features, strict=True)
        return [(read, weight * gradient) for read, weight, gradient in shares]


def through_heads(
    model: MultiTaskModel,
    batch: Batch,
    shares: Mapping[str, float],
    losses: Mapping[str, Loss],
    features: Callable[[Batch], Tensor],
) -> Pass:
    """Each head on its own view of the features, cut off from the trunk: one backward gives all gradients there.

    Args:
        model: trunk and heads.
        batch: the rows, of all tasks of the step or of some.
        shares: by which the loss of each task of the step is multiplied; 0 for one without rows here.
        losses: task name to loss of (outputs, targets).
        features: what the heads read of a batch.
    """
    batch = model.asked(batch)
    apart = cheaper_apart(batch) and all(shares.values())
    alone = {name: one(batch, name, apart) for name in batch.tasks}
    read = [features(alone[name]) for name in shares] if apart else [features(batch)] * len(shares)
    cuts = [part.detach().requires_grad_() for part in read]
    found = []
    for (name, share), cut in zip(shares.items(), cuts, strict=True):
        if share == 0 or name not in batch.tasks:
            found.append(torch.zeros((), device=cut.device))
            continue
        loss = losses[name](model.outputs(alone[name], cut)[name], alone[name].tasks[name].targets)
        found.append(loss if share == 1 else share * loss)
    heads = [trained(model, name) for name in shares]
    got = iter(
        torch.autograd.grad(
            [loss for loss in found if loss.requires_grad],
            [*cuts, *(parameter for head in heads for parameter in head)],
            allow_unused=True,
            materialize_grads=True,
        )
    )
    at_features = [next(got) for _ in cuts]
    at_heads = [[next(got) for _ in head] for head in heads]
    return Pass(torch.stack(found).detach(), read, at_features, at_heads, apart)


def trained(model: MultiTaskModel, name: str) -> list[Tensor]:
    """The parameters of a task's head that train."""
    return [p for p in model.heads[name].parameters() if p.requires_grad] if name in model.heads else []


def cheaper_apart(batch: Batch) -> bool:
    """Whether K passes over each task's own rows cost less than one forward and K backwards over all rows.

    A backward counts as two forwards.
    """
    asked, K = sum(len(rows.targets) for rows in batch.tasks.values()), len(batch.tasks)
    return 3 * asked < (1 + 2 * K) * len(batch.ids)


def one(batch: Batch, name: str, apart: bool) -> Batch:
    """The batch of one task: on all distinct inputs, or `apart` on those it asks for."""
    rows = batch.tasks[name]
    if not apart or rows.inputs is None:
        return replace(batch, tasks={name: rows})
    return batch.only(rows.inputs, {name: TaskRows(None, rows.targets)})


def weighted(weights: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """sum_i w_i g_i."""
    first, *others = weights.tolist()
    total = first * parts[0]
    for weight, part in zip(others, parts[1:], strict=True):
        total.add_(part, alpha=weight)
    return total
