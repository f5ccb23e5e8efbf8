"""The step of a weighting that looks at gradients: each task's once, their Gramian, one combined gradient."""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mtl.data.batch import Batch
from mtl.errors import MtlError
from mtl.model.multitask import MultiTaskModel
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.training.parts import Parts, whole
from mtl.training.passes import Loss, through_heads, trained, weighted
from mtl.training.processes import mean_over_processes, num_processes, of_the_first
from mtl.training.products import gramian, jacobian, parts_of, scaled
from mtl.training.rows import aligned, by_rows
from mtl.training.soundness import OnNan, exact, sound, usable
from mtl.training.where import Where, parameters_at, same_rows

PerTask = MutableMapping[Tensor, list[tuple[int, Tensor]]]
"""For each shared parameter, the place in the run and the weighted gradient of each task of the step."""


def weigh_gradients(
    model: MultiTaskModel,
    batch: Batch,
    losses: Mapping[str, Loss],
    weighting: Weighting,
    signals: Callable[[Tensor], Signals],
    where: Where,
    weight_heads: bool = False,
    on_nan: OnNan = "stop",
    per_task: PerTask | None = None,
    parts: Parts | None = None,
    step: int = 0,
) -> tuple[Signals, Tensor, Tensor] | None:
    """Losses, weights and a scalar whose gradient is: sum_i w_i g_i on the trunk, each head's own plain one on a head.

    Each head runs on its own view of the trunk's features, cut off from it, so that one backward gives the gradients of
    all tasks there, apart. At `shared` each of the K gradients then goes through the trunk once, the Gramian is taken
    over all trunk parameters (the definition of the papers), and the gradients are combined, not computed again: K
    trunk backwards in all. Tasks with rows of their own go through the trunk apart from the start, so that none goes
    back over the rows of the others. At `features` the Gramian is that of the gradients with respect to what the heads
    read (MGDA-UB, Sener and Koltun 2018), and one trunk backward is enough; it means something only where the tasks
    share their rows. At `last_layer` (GradNorm, Chen et al. 2018) and `prompt` the Gramian is over those parameters
    alone: K backwards down to them, then one through the whole trunk.

    A weighting that `needs_jacobian` makes one direction of the K gradients, at `shared` or at `features`.

    Rows in parts go through one after another, and memory holds the graph of one part: their gradients are added up,
    at `shared` those of each task, elsewhere at the features of all parts. Losses, Gramian and weights are those of the
    whole step. Where the trunk's backward waits for the weights (all but `shared`), its forward is run again for it.

    Several processes, each with some of the rows and the same model, agree on losses, Gramian and weights of all rows.
    The mean of the gradients that they are left with, which DDP takes, is the gradient of the whole step.

    The scalar is the weighted loss in value, with the combined gradient held ready, so Lightning's automatic
    optimisation and clipping go on as with any loss.

    Args:
        model: trunk and heads.
        batch: the step's rows.
        losses: task name to loss of (outputs, targets).
        weighting: asked for K weights.
        signals: K detached losses to the signals of the step, without Gramian; with slopes, where they are transformed.
        where: the parameters (or features) whose gradients are compared.
        weight_heads: each head's gradient is weighted too.
        on_nan: whether a task with a loss or a gradient that is not finite is an MtlError, or left out of the step.
        per_task: filled, at `shared`, with what the tasks add to the gradient of each shared parameter.
        parts: the batch in parts; `None`: all at once.
        step: optimiser steps taken so far.

    Returns:
        The signals of the tasks that took part, the weights that act on their losses as they were measured, and the
        scalar; `None` where no task is left.
    """
    if where == "features" and weighting.needs_gramian and not same_rows(batch):
        raise MtlError(
            "gradients=features needs tasks that share all rows of a step and their prompt; "
            f"take gradients=shared for {', '.join(batch.tasks)}"
        )
    parts = parts or whole(batch)
    names = list(parts.rows)
    wanted = weighting.wants_gramian(step) or per_task is not None
    one_by_one = wanted and where == "shared"  # then nothing goes back through the trunk once the weights are known
    forward = model.features if one_by_one or len(parts.batches) == 1 else partial(forgetful, model.features)
    if one_by_one and per_task is None and not weighting.same_coordinates:
        forward = by_rows(forward, model.trunk)
    passes, losses_K, gradients, at_heads, wholes = [], [], [], [], []
    for part, shares in zip(parts.batches, parts.shares, strict=True):
        done = through_heads(model, part, dict(zip(names, shares, strict=True)), losses, forward)
        losses_K.append(done.losses)
        at_heads = added(at_heads, done.at_heads)
        if wanted and where != "features":
            gradients = added(gradients, done.through_trunk(parameters_at(model, where), not one_by_one))
        if not one_by_one:
            passes.append(done)
    told = signals(mean_over_processes(torch.stack(losses_K).sum(0)))
    if where != "features":
        gradients, wholes = aligned(gradients)
        gradients = agreed(gradients)

    def keep(kept: list[int]) -> None:
        nonlocal names, passes, gradients, at_heads, told
        if len(kept) < len(names):
            names, at_heads, told = at(kept, names), at(kept, at_heads), told.subset(kept)
            passes, gradients = [done.at(kept) for done in passes], at(kept, gradients)

    keep(sound("loss", told, told.losses, names, on_nan))
    if wanted and names:
        if where == "features":
            gradients, wholes = aligned(list(zip(*(done.at_features for done in passes), strict=True)))
        shapes = [part.shape for part in gradients[0]]
        if weighting.needs_jacobian:
            told, gradients = replace(told, jacobian=jacobian(gradients, told.slopes)), []
            with exact(told.losses):
                told = replace(told, gramian=told.require_jacobian() @ told.require_jacobian().T)
        else:
            with exact(told.losses):
                found = gramian(gradients)
            if where == "features":  # of each process's own rows, so that they add up: the sum, scaled as a mean
                found = mean_over_processes(found) / num_processes()
            told = replace(told, gramian=scaled(found, told.slopes))
        keep(sound("gradient", told, told.require_gramian().diagonal(), names, on_nan))
    if not names:
        return None

    direction = None
    if weighting.needs_jacobian:
        with exact(told.losses):
            weights, direction = weighting.combine(told)
        direction = of_the_first(direction)
        told = replace(told, jacobian=None)
    else:
        with exact(told.losses):
            weights = weighting(told)
    weights = weights if weights.requires_grad else of_the_first(weights)
    usable(weights, told, names, weighting.name)
    acting = weights.detach() if told.slopes is None else weights.detach() * told.slopes
    if direction is not None:
        variables = [done.read[0] for done in passes] if where == "features" else parameters_at(model, where)
        found = zip(parts_of(direction, shapes), wholes, variables, strict=True)
        combined = [whole(part).to(variable) for part, whole, variable in found]
    elif one_by_one:
        variables, columns = parameters_at(model, where), list(zip(*gradients, strict=True))
        combined = [whole(weighted(acting, column)) for column, whole in zip(columns, wholes, strict=True)]
        if per_task is not None:
            per_task.update(zip(variables, (each(told, acting, column) for column in columns), strict=True))
    else:
        pairs = [pair for done in passes for pair in done.combined(acting)]
        variables, combined = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if idle := set(map(id, model.idle(names))):  # a gradient of zero would let momentum and decay move them
        pairs = [pair for pair in zip(variables, combined, strict=True) if id(pair[0]) not in idle]
        variables, combined = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        if per_task is not None:
            for variable in [variable for variable in per_task if id(variable) in idle]:
                del per_task[variable]
    on_heads = acting if weight_heads else told.slopes
    if on_heads is not None:
        at_heads = [[factor * found for found in head] for head, factor in zip(at_heads, on_heads, strict=True)]
    value = (weights.detach() * told.losses).sum()
    heads = [trained(model, name) for name in names]
    total = Ready.apply(value, (*combined, *flat(at_heads)), *variables, *flat(heads))
    if weights.requires_grad:  # a weighting's own parameters learn as they do without gradients
        total = total + ((weights - weights.detach()) * told.losses).sum()
    return told, acting, total + weighting.penalty(told)


def each(told: Signals, weights: Tensor, parts: Sequence[Tensor]) -> list[tuple[int, Tensor]]:
    """The place in the run and w_i g_i of each task."""
    shares = zip(told.tasks.tolist(), weights.tolist(), parts, strict=True)
    return [(place, weight * part) for place, weight, part in shares]


def forgetful(features: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
    """The features, whose graph is made again (with the same random numbers) when a backward needs it."""
    return checkpoint(features, batch, use_reentrant=False)


def agreed(gradients: Sequence[Sequence[Tensor]]) -> list[Sequence[Tensor]]:
    """The means over the processes, one message a task."""
    if num_processes() == 1:
        return list(gradients)
    shapes = [part.shape for part in gradients[0]] if gradients else []
    return [parts_of(mean_over_processes(torch.cat([part.flatten() for part in parts])), shapes) for parts in gradients]


def added(total: list[Sequence[Tensor]], more: Sequence[Sequence[Tensor]]) -> list[Sequence[Tensor]]:
    """Element by element; the second where there is no first yet. Not in place: autograd may share tensors."""
    if not total:
        return list(more)
    return [[a + b for a, b in zip(*both, strict=True)] for both in zip(total, more, strict=True)]


def at(kept: Sequence[int], found: Sequence[Any]) -> list[Any]:
    """Those places of a list, if it has any."""
    return [found[place] for place in kept] if found else []


def flat(lists: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    """One list of all."""
    return [part for parts in lists for part in parts]


class Ready(torch.autograd.Function):
    """A scalar whose gradient with respect to the variables is known in advance."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: tuple[Tensor, ...], *variables: Tensor) -> Tensor:
        """The value as it is."""
        ctx.save_for_backward(*gradients)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients, times whatever the scalar was multiplied with; not copied where that is 1.

        Saved tensors are let go once they are used, so that a parameter can keep its gradient as it is.
        """
        gradients = ctx.saved_tensors
        return None, None, *(gradients if scale == 1 else (scale * gradient for gradient in gradients))
