"""Where the gradients of tasks are compared, and which weighting has a use for them there."""

from typing import Literal

import torch
from torch import Tensor

from mtl.data.batch import Batch
from mtl.errors import MtlError
from mtl.model.multitask import MultiTaskModel
from mtl.strategies.weighting.base import Weighting

Where = Literal["shared", "features", "last_layer", "prompt"]


def check(model: MultiTaskModel, weighting: Weighting, where: Where, weight_heads: bool = False) -> None:
    """Stop before the first step where a weighting that takes gradients finds none, or has no use for those there.

    Raises:
        MtlError: no such parameters train; or the weighting combines the gradients themselves, and `where` leaves out
            shared parameters, or has other coordinates in each step, or the heads are to be weighted.
    """
    chosen, name = parameters_at(model, "shared" if where == "features" else where), weighting.name
    if not weighting.needs_jacobian:
        return
    if weight_heads:
        raise MtlError(f"weight_heads should be false for {name}, which combines gradients and weighs no losses")
    if where == "features" and weighting.same_coordinates:
        raise MtlError(f"{name} remembers gradients, and features are other ones in each step; take gradients=shared")
    if len(chosen) < len(parameters_at(model, "shared")):
        raise MtlError(
            f"{name} combines the gradients themselves: gradients={where} leaves out other shared parameters that "
            "train; take gradients=shared"
        )


def same_rows(batch: Batch) -> bool:
    """Whether all tasks ask for the same rows; one may come twice, where a step ends an epoch and begins the next."""
    first, *others = (rows.inputs for rows in batch.tasks.values())
    if first is None:
        return all(inputs is None for inputs in others)
    return all(inputs is not None and torch.equal(inputs, first) for inputs in others)


def parameters_at(model: MultiTaskModel, where: Where) -> list[Tensor]:
    """The shared parameters that train: all, those of the trunk's last layer, or those of a prompt.

    A parameter belongs to a prompt if a part of its name begins with `prompt`.

    Raises:
        MtlError: there are none.
    """
    if where == "last_layer":
        found = [parameter for module in model.trunk.last_layer() for parameter in module.parameters()]
    elif where == "prompt":
        named = model.shared().items()
        found = [p for name, p in named if any(part.startswith("prompt") for part in name.split("."))]
    else:
        found = list(model.shared().values())
    trained: list[Tensor] = [parameter for parameter in found if parameter.requires_grad]
    if not trained:
        what = {"prompt": "prompt parameters", "last_layer": "last layer"}.get(where, "shared parameters")
        other = "" if where == "shared" else "; take gradients=shared"
        raise MtlError(f"gradients={where} needs a model with {what} that train. Found none{other}")
    return trained
