"""The step of a weighting that looks at gradients: each task's once, their Gramian, one combined gradient."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from mtl.data.batch import Batch, TaskRows
from mtl.model.multitask import MultiTaskModel
from mtl.strategies.weighting.base import Signals, Weighting

Where = Literal["shared", "features"]
Loss = Callable[[Tensor, Tensor], Tensor]
CHUNK = 1 << 16
"""Numbers of each gradient that are copied side by side at a time: few enough to stay in a processor's cache."""


def weigh_gradients(
    model: MultiTaskModel,
    batch: Batch,
    losses: Mapping[str, Loss],
    weighting: Weighting,
    signals: Callable[[Tensor], Signals],
    where: Where,
) -> tuple[Signals, Tensor, Tensor]:
    """Losses, weights and a scalar whose gradient is: sum_i w_i g_i on the trunk, each head's own plain one on a head.

    Each head runs on its own view of the trunk's features, cut off from it, so that one backward gives the gradients of
    all tasks there, apart. At `shared` each of the K gradients then goes through the trunk once, the Gramian is taken
    over all trunk parameters (the definition of the papers), and the gradients are combined, not computed again: K
    trunk backwards in all. Tasks with rows of their own go through the trunk apart from the start, so that none goes
    back over the rows of the others. At `features` the Gramian is that of the gradients with respect to what the heads
    read (MGDA-UB, Sener and Koltun 2018), and one trunk backward is enough; it means something only where the tasks
    share their rows.

    The scalar is the weighted loss in value, with the combined gradient held ready, so Lightning's automatic
    optimisation, clipping, scaling and accumulation go on as with any loss.

    Args:
        model: trunk and heads.
        batch: the step's rows.
        losses: task name to loss of (outputs, targets).
        weighting: asked for K weights.
        signals: K detached losses to the signals of the step, without Gramian.
        where: `shared` or `features`.
    """
    if where == "features" and any(rows.inputs is not None for rows in batch.tasks.values()):
        raise ValueError(
            "gradients=features needs tasks that share all rows of a step and their prompt; "
            "take gradients=shared for these tasks"
        )
    apart = cheaper_apart(batch)
    alone = [one(batch, name, apart) for name in batch.tasks]
    read = [model.features(part) for part in alone] if apart else [model.features(batch)] * len(alone)
    cuts = [features.detach().requires_grad_() for features in read]
    losses_K = []
    for name, part, cut in zip(batch.tasks, alone, cuts, strict=True):
        losses_K.append(losses[name](model.outputs(part, cut)[name], part.tasks[name].targets))
    heads = [parameter for name in batch.tasks for parameter in model.heads[name].parameters()]
    found = torch.autograd.grad(losses_K, [*cuts, *heads])
    at_features, at_heads = found[: len(cuts)], found[len(cuts) :]
    told = signals(torch.stack(losses_K).detach())
    trunk = [parameter for parameter in model.trunk.parameters() if parameter.requires_grad]
    gradients: list[tuple[Tensor, ...]] = []
    if weighting.wants_gramian(told.step):
        if where == "shared":
            for place, (features, gradient) in enumerate(zip(read, at_features, strict=True)):
                kept = not apart and place < len(read) - 1
                got = torch.autograd.grad(
                    features, trunk, gradient, retain_graph=kept, allow_unused=True, materialize_grads=True
                )
                gradients.append(got)
        told = replace(told, gramian=gramian(gradients or [(gradient,) for gradient in at_features]))
    weights = weighting(told)
    if gradients:
        variables, combined = trunk, [weighted(weights, parts) for parts in zip(*gradients, strict=True)]
    elif apart:
        variables = read
        combined = [weight * gradient for weight, gradient in zip(weights.detach(), at_features, strict=True)]
    else:
        variables, combined = read[:1], [weighted(weights, at_features)]
    value = (weights.detach() * told.losses).sum()
    total = Ready.apply(value, (*combined, *at_heads), *variables, *heads)
    return told, weights, total + weighting.penalty(told)


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
        return Batch(batch.ids, batch.lengths, {name: rows})
    return Batch(batch.ids[rows.inputs], batch.lengths[rows.inputs], {name: TaskRows(None, rows.targets)})


def gramian(gradients: list[tuple[Tensor, ...]]) -> Tensor:
    """K x K inner products of K gradients, each a tuple of tensors; added up chunk by chunk."""
    total = torch.zeros(len(gradients), len(gradients), device=gradients[0][0].device)
    for parts in zip(*gradients, strict=True):
        flat = [part.flatten() for part in parts]
        for begin in range(0, len(flat[0]), CHUNK):
            chunk = torch.stack([part[begin : begin + CHUNK] for part in flat]).float()
            total.addmm_(chunk, chunk.T)
    return total


def weighted(weights: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """sum_i w_i g_i."""
    first, *others = weights.tolist()
    total = first * parts[0]
    for weight, part in zip(others, parts[1:], strict=True):
        total.add_(part, alpha=weight)
    return total


class Ready(torch.autograd.Function):
    """A scalar whose gradient with respect to the variables is known in advance."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: tuple[Tensor, ...], *variables: Tensor) -> Tensor:
        """The value as it is."""
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients, times whatever the scalar was multiplied with."""
        return None, None, *(scale * gradient for gradient in ctx.gradients)
