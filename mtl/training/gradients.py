"""The step of a weighting that looks at gradients: each task's once, their Gramian, one combined gradient."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from mtl.data.batch import Batch
from mtl.model.multitask import MultiTaskModel
from mtl.strategies.weighting.base import Signals, Weighting

Where = Literal["shared", "features"]
Loss = Callable[[Tensor, Tensor], Tensor]


def weigh_gradients(
    model: MultiTaskModel,
    batch: Batch,
    losses: Mapping[str, Loss],
    weighting: Weighting,
    signals: Callable[[Tensor], Signals],
    where: Where,
) -> tuple[Signals, Tensor, Tensor]:
    """Losses, weights and a scalar whose gradient is: sum_i w_i g_i on the trunk, each head's own plain one on a head.

    The heads run on the trunk's features cut off from it, so a task's backward first stops there (K cheap head
    backwards). At `shared` each of the K gradients then goes through the trunk once, the Gramian is taken over all
    trunk parameters (the definition of the papers), and the gradients are combined, not computed again: K trunk
    backwards in all. At `features` the Gramian is that of the features' gradients (MGDA-UB, Sener and Koltun 2018),
    and one trunk backward is enough; it means something only where the tasks share their rows.

    The scalar is the inner product of parameters (or features) and their combined gradient held fixed, so Lightning's
    automatic optimisation, clipping, scaling and accumulation go on as with any loss.

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
    features = model.features(batch)
    cut = features.detach().requires_grad_()
    outputs = model.outputs(batch, cut)
    losses_K = [losses[name](outputs[name], rows.targets) for name, rows in batch.tasks.items()]
    at_features, heads = [], []
    for name, loss in zip(batch.tasks, losses_K, strict=True):
        own = list(model.heads[name].parameters())
        found = torch.autograd.grad(loss, [cut, *own], retain_graph=True)
        at_features.append(found[0])
        heads.append(fixed(own, found[1:]))
    told = signals(torch.stack(losses_K).detach())
    trunk = [parameter for parameter in model.trunk.parameters() if parameter.requires_grad]
    gradients: list[tuple[Tensor, ...]] = []
    if weighting.wants_gramian(told.step):
        if where == "shared":
            last = len(at_features) - 1
            for place, gradient in enumerate(at_features):
                got = torch.autograd.grad(
                    features, trunk, gradient, retain_graph=place < last, allow_unused=True, materialize_grads=True
                )
                gradients.append(got)
        told = replace(told, gramian=gramian(gradients or [(gradient,) for gradient in at_features]))
    weights = weighting(told)
    if gradients:
        shared = fixed(trunk, [weighted(weights, parts) for parts in zip(*gradients, strict=True)])
    else:
        shared = fixed([features], [weighted(weights, at_features)])
    return told, weights, shared + torch.stack(heads).sum() + weighting.penalty(told)


def gramian(gradients: list[tuple[Tensor, ...]]) -> Tensor:
    """K x K inner products of K gradients, each a tuple of tensors; added up tensor by tensor."""
    total = torch.zeros(len(gradients), len(gradients), device=gradients[0][0].device)
    for parts in zip(*gradients, strict=True):
        flat = torch.stack([part.flatten() for part in parts]).float()
        total = total + flat @ flat.T
    return total


def weighted(weights: Tensor, parts: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """sum_i w_i g_i."""
    total = weights[0].detach() * parts[0]
    for weight, part in zip(weights[1:].detach(), parts[1:], strict=True):
        total = total + weight * part
    return total


def fixed(variables: list[Tensor] | list[nn.Parameter], gradients: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """A scalar whose gradient with respect to the variables is `gradients`."""
    total = torch.zeros(())
    for variable, gradient in zip(variables, gradients, strict=True):
        total = total + (variable * gradient).sum()
    return total
