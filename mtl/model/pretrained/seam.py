"""The one file that knows how transformers loads a model and takes masks, positions and caches.

Texts come here padded on the right, whatever they were before: of all forms of a mask it is the one that every version
and every model takes alike. `tests/model/pretrained/test_seam.py` holds it to transformers' own forward.
"""

import contextlib
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mtl.errors import MtlError

Prefix = Sequence[tuple[Tensor, Tensor]]
"""Keys and values of each layer, each U x heads x P x head width."""


def load(
    folder: Path, name: str, causal: bool, language_model: bool, dtype: str, remote_code: bool
) -> tuple[Any, nn.Module | None]:
    """The model without what it was pretrained to answer with, and that (hidden states to logits) where asked for.

    Raises:
        MtlError: the folder's model is of the other kind, lacks weights, or transformers can't read it.
    """
    import transformers
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": remote_code}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **given)
        _check_kind(config, name, causal)
        auto: Any = transformers.AutoModel
        if language_model:
            auto = getattr(transformers, "AutoModelForCausalLM" if causal else "AutoModelForMaskedLM")
        # without a dtype, version 5 takes the file's
        given |= {"config": config, "dtype": dtype, "use_safetensors": True}
        found: Any
        found, said = auto.from_pretrained(folder, output_loading_info=True, **given)
    except (OSError, ValueError, KeyError, TypeError, ImportError, AttributeError, RuntimeError) as error:
        raise MtlError(f"{name} can't be loaded: {' '.join(str(error).split()):.200}") from None
    backbone = found.base_model if language_model else found
    if getattr(backbone, "pooler", None) is not None:
        backbone.pooler = None  # we pool ourselves
    missing = sorted(key for key in said["missing_keys"] if "pooler" not in key)
    if missing:
        what = "its weights for answering with words" if language_model else "weights"
        raise MtlError(f"{name} lacks {what}, such as {missing[0]}")
    return backbone, _answering(found, name) if language_model else None


def _check_kind(config: Any, name: str, causal: bool) -> None:
    from transformers.models.auto import modeling_auto as known

    masked = config.model_type in known.MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)
    one_sided = config.model_type in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not masked
    if getattr(config, "is_encoder_decoder", False):
        raise MtlError(f"{name} is an encoder with a decoder ({config.model_type}): take an encoder or a decoder alone")
    if causal and masked:
        raise MtlError(f"{name} is an encoder ({config.model_type}): take trunk=hf_encoder")
    if not causal and one_sided:
        raise MtlError(f"{name} is a decoder ({config.model_type}): take trunk=hf_decoder")


def _answering(model: Any, name: str) -> nn.Module:
    """Hidden states to logits over the vocabulary."""
    for parts in (["lm_head"], ["cls"], ["head", "decoder"]):  # GPT-2, Llama, RoBERTa; BERT; ModernBERT
        if all(hasattr(model, part) for part in parts):
            return nn.Sequential(*(getattr(model, part) for part in parts))
    raise MtlError(f"how {name} answers with words is not known here. Found {type(model).__name__}")


@dataclass
class Memory:
    """What a decoder has read: keys and values of each layer, and which of their places are there (U x P bools)."""

    cache: Any = None
    seen: Tensor | None = None


def encode(
    backbone: Any,
    causal: bool,
    embedded: Tensor,
    lengths: Tensor,
    positions: Tensor,
    prefix: Prefix | None,
    memory: Memory | None = None,
) -> Tensor:
    """U x L x E embedded tokens, padded on the right, to U x L x D; `memory` is filled."""
    seen = torch.arange(embedded.shape[1], device=embedded.device) < lengths[:, None]
    if prefix is not None:
        seen = torch.cat((seen.new_ones(len(seen), prefix[0][0].shape[2]), seen), dim=1)
    cache = None if prefix is None and memory is None else _cache(prefix or (), embedded)
    if memory is not None:
        memory.cache, memory.seen = cache, seen
    return _run(backbone, causal, embedded, seen, positions, cache)


def go_on(backbone: Any, embedded: Tensor, memory: Memory) -> Tensor:
    """U x 1 x E, the next token of each row, to U x 1 x D; the memory then knows it too."""
    assert memory.seen is not None
    positions = memory.seen.sum(1, keepdim=True)
    memory.seen = torch.cat((memory.seen, memory.seen.new_ones(len(memory.seen), 1)), dim=1)
    return _run(backbone, True, embedded, memory.seen, positions, memory.cache)


def follow(
    backbone: Any, vectors: Tensor, counts: Tensor, prefix: Prefix, lengths: Tensor, positions: Tensor
) -> Tensor:
    """What a decoder makes of vectors behind texts that it has read: U x P x E, padded on the right, to U x P x D.

    Args:
        backbone: a decoder.
        vectors: U x P x E, behind the texts.
        counts: U, how many of the vectors there are.
        prefix: keys and values of the texts, padded on the left.
        lengths: U, of the texts.
        positions: U x P.
    """
    L, P = prefix[0][0].shape[2], vectors.shape[1]
    known = torch.arange(L, device=vectors.device) >= L - lengths[:, None]
    seen = torch.cat((known, torch.arange(P, device=vectors.device) < counts[:, None]), dim=1)
    return _run(backbone, True, vectors, seen, positions, _cache(prefix, vectors))


class _ReachedError(Exception):
    """A layer that is not to run."""


def below(backbone: Any, causal: bool, embedded: Tensor, lengths: Tensor, positions: Tensor, layer: int) -> Tensor:
    """U x L x E embedded tokens, padded on the right, to U x L x D: what a layer (from 0) is given. It doesn't run."""
    found: list[Tensor] = []

    def stop(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        found.append(args[0] if args else named["hidden_states"])
        raise _ReachedError

    hook = layers(backbone)[layer].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with contextlib.suppress(_ReachedError):
            encode(backbone, causal, embedded, lengths, positions, None)
    finally:
        hook.remove()
    return found[0]


def above(backbone: Any, causal: bool, states: Tensor, lengths: Tensor, positions: Tensor, layer: int) -> Tensor:
    """U x L x D that a layer is given to U x L x D features: the layers before it don't run.

    What they would hand on is never read, so that it doesn't matter that some models' layers give a tensor and others'
    a tuple. Recomputation in the backward pass would not know of this.
    """
    stack = layers(backbone)

    def put(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ((states, *args[1:]), named) if args else (args, named | {"hidden_states": states})

    hook = stack[layer].register_forward_pre_hook(put, with_kwargs=True)
    for idle in stack[:layer]:
        idle.forward = lambda *_, **__: (None,)
    try:
        embedded = states.new_zeros(*states.shape[:2], backbone.get_input_embeddings().weight.shape[1])
        return encode(backbone, causal, embedded, lengths, positions, None)
    finally:
        hook.remove()
        for idle in stack[:layer]:
            del idle.forward


def freeze_below(backbone: Any, causal: bool, layer: int) -> None:
    """Freeze all that takes part in what a layer is given; the rest stays as it was."""
    first = torch.zeros(1, 1, dtype=torch.long)
    states = below(backbone, causal, backbone.get_input_embeddings()(first), torch.ones_like(first[0]), first, layer)
    training = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    if states.requires_grad:
        parts = torch.autograd.grad(states.sum(), training, allow_unused=True)
        for parameter, part in zip(training, parts, strict=True):
            parameter.requires_grad_(part is None)


def prefill(backbone: Any, causal: bool, embedded: Tensor) -> Prefix:
    """Keys and values of U x P x E embedded tokens in every layer."""
    cache = _cache((), embedded)
    seen = torch.ones(embedded.shape[:2], dtype=torch.bool, device=embedded.device)
    _run(backbone, causal, embedded, seen, torch.arange(embedded.shape[1], device=embedded.device)[None], cache)
    return [(layer.keys, layer.values) for layer in cache.layers]


def _run(backbone: Any, causal: bool, embedded: Tensor, seen: Tensor, positions: Tensor, cache: Any) -> Tensor:
    known = inspect.signature(backbone.forward).parameters
    given: dict[str, Any] = {"attention_mask": seen.long()}
    if "position_ids" in known:
        given["position_ids"] = positions + first_position(backbone)
    if cache is not None:
        given["cache" if "cache" in known else "past_key_values"] = cache  # renamed in 5.2x
        if not causal:  # transformers makes no mask over a cache for an encoder
            mask = torch.zeros(seen.shape, dtype=embedded.dtype, device=seen.device)
            mask = mask.masked_fill(~seen, torch.finfo(embedded.dtype).min)
            given["attention_mask"] = mask[:, None, None].expand(-1, 1, embedded.shape[1], -1)
    if causal and "use_cache" in known:
        given["use_cache"] = cache is not None
    return backbone(inputs_embeds=embedded, **given).last_hidden_state


def _cache(prefix: Prefix, like: Tensor) -> Any:
    from transformers import DynamicCache

    kind = like.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else like.dtype
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(prefix):
        cache.update(keys.to(dtype), values.to(dtype), layer)
    return cache


def first_position(backbone: nn.Module) -> int:
    """The learned position of a text's first token: RoBERTa and its kin keep the first ones for padding."""
    table = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return 0 if padding is None else padding + 1


def prefix_shape(backbone: Any) -> tuple[int, int, int] | None:
    """(layers, heads of keys and values, head width), where the model can read keys and values of a prefix."""
    known = inspect.signature(backbone.forward).parameters
    if "cache" not in known and "past_key_values" not in known:
        return None
    config = backbone.config
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return config.num_hidden_layers, getattr(config, "num_key_value_heads", None) or heads, width


def layers(backbone: Any) -> nn.ModuleList:
    """The model's layers, in their order."""
    return backbone.get_submodule(_stack(backbone))


def inside_below(backbone: Any, layer: int) -> str:
    """A regular expression of the names of modules inside the layers before this one, wherever the model stands."""
    before = "|".join(map(str, range(layer)))
    return rf"(.*\.)?{re.escape(_stack(backbone))}\.({before})\..*"


def _stack(backbone: Any) -> str:
    """The name of the list of layers."""
    lists = ((name, module) for name, module in backbone.named_modules() if isinstance(module, nn.ModuleList))
    found = next((name for name, module in lists if len(module) == backbone.config.num_hidden_layers), None)
    if found is None:
        raise MtlError(f"trunk: where {type(backbone).__name__} keeps its layers is not known here")
    return found


def recompute(backbone: Any) -> None:
    """Keep no activations within a layer; compute them again in the backward pass."""
    name = "activation_checkpointing_enable"  # since 5.2x
    getattr(backbone, name if hasattr(backbone, name) else "gradient_checkpointing_enable")({"use_reentrant": False})


def mark_training(backbone: nn.Module, mode: bool) -> None:
    """Tell each layer, but nothing inside it, that it trains: a frozen layer without dropout is then recomputed too."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    for module in backbone.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.training = mode
