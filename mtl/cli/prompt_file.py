"""`prompt.safetensors`: what was trained around a frozen trunk, prompts first of all, and no weight of the trunk."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mtl.errors import MtlError
from mtl.model.multitask import MultiTaskModel

NAME = "prompt.safetensors"
SAMPLE = 1024
Payload = Mapping[str, Any]


def holds_all(model: MultiTaskModel) -> bool:
    """Whether such a file holds all that was trained: a learned prompt around a frozen trunk."""
    return model.prompt is not None and not any(p.requires_grad for p in model.trunk.parameters())


def write(path: Path, model: MultiTaskModel, payload: Payload) -> None:
    """Write prompts as they are after training, heads, the layer that tells a preference where there is one, and what
    `mtl predict` needs to know beside the trunk.

    Raises:
        MtlError: there is no learned prompt, or the trunk was trained as well.
    """
    from safetensors.torch import save_file

    if model.prompt is None:
        raise MtlError("the run has no learned prompt: its text prompt is its configuration")
    if not holds_all(model):
        raise MtlError("the trunk was trained too (trunk.frozen=false): what was trained is the run's checkpoint")
    tensors = {f"prompt.{name}": value for name, value in model.prompt.kept().items()}
    for part, module in _others(model).items():
        tensors |= {f"{part}.{name}": value for name, value in module.state_dict().items()}
    about = {"payload": _without_tensors(payload, "payload", tensors), "trunk": digest(model.trunk)}
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    save_file(contiguous, path, {"mtl": json.dumps(about, ensure_ascii=False)})


def read(path: Path) -> tuple[Payload, dict[str, Tensor], str]:
    """What a checkpoint would hold beside its weights, the tensors, and the digest of the trunk."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("mtl", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise MtlError(f"{path} can't be read: {error}") from None
    if about is None:
        raise MtlError(f"{path} is not a prompt file of mtl")
    return _with_tensors(about["payload"], tensors), tensors, about["trunk"]


def put(path: Path, model: MultiTaskModel, tensors: Mapping[str, Tensor], trunk: str) -> None:
    """Lay the tensors of a file into a model that was made new; MtlError if its trunk is another one, or a file of an
    older version left something out.
    """
    if digest(model.trunk) != trunk:
        raise MtlError(f"{path} was trained on another trunk than its configuration makes now")
    assert model.prompt is not None
    model.prompt.take(_of("prompt", tensors))
    for part, module in _others(model).items():
        found = _of(part, tensors)
        if missing := sorted(module.state_dict().keys() - found.keys()):
            raise MtlError(f"{path} lacks {part}.{missing[0]}: export it again from its run")
        module.load_state_dict(found)


def _others(model: MultiTaskModel) -> dict[str, nn.Module]:
    """What is trained beside the prompts."""
    return {"heads": model.heads} | ({} if model.condition is None else {"condition": model.condition})


def _of(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(part) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{part}.")}


@torch.no_grad()
def digest(trunk: nn.Module) -> str:
    """16 hexadecimal digits of a SHA-256 over names, shapes and some values of each parameter, evenly spaced."""
    found = hashlib.sha256()
    for name, parameter in trunk.named_parameters():
        flat = parameter.detach().flatten()
        sample = flat[:: max(1, len(flat) // SAMPLE)].float().cpu()
        found.update(f"{name} {tuple(parameter.shape)}".encode() + sample.numpy().tobytes())
    return found.hexdigest()[:16]


def _without_tensors(node: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, Tensor):
        tensors[name] = node
        return {"_tensor_": name}
    if isinstance(node, Mapping):
        return {key: _without_tensors(child, f"{name}.{key}", tensors) for key, child in node.items()}
    if isinstance(node, list | tuple):
        return [_without_tensors(child, f"{name}.{place}", tensors) for place, child in enumerate(node)]
    return node


def _with_tensors(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(node, dict):
        if set(node) == {"_tensor_"}:
            return tensors[node["_tensor_"]]
        return {key: _with_tensors(child, tensors) for key, child in node.items()}
    return [_with_tensors(child, tensors) for child in node] if isinstance(node, list) else node
