"""LoRA (Hu et al. 2021): low-rank adapters on a model's linear maps, by peft."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from mtl.errors import MtlError


def add_adapters(
    backbone: nn.Module,
    name: str,
    rank: int,
    alpha: int,
    dropout: float,
    modules: Sequence[str] | str | None,
    outside: str | None,
) -> None:
    """Put them into the model; all else in it no longer trains.

    Args:
        backbone: the model.
        name: of the model, for messages.
        rank: r.
        alpha: the product is multiplied by alpha / r.
        dropout: on what an adapter reads.
        modules: names of the maps that get one, or `all-linear`; `None`: peft's choice for this model.
        outside: a regular expression of names that get none.

    Raises:
        MtlError: peft is not installed, or can't do it.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MtlError("the package peft is not installed; pip install 'mtl[llm]'") from None
    targets = modules if modules is None or isinstance(modules, str) else list(modules)
    try:
        given: Any = {"target_modules": targets, "exclude_modules": outside}
        config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, **given)
        inject_adapter_in_model(config, backbone)
    except (ValueError, TypeError) as error:
        raise MtlError(f"lora can't be added to {name}: {' '.join(str(error).split()):.200}") from None
