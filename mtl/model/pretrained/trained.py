"""What a checkpoint holds of a pretrained trunk: hooks of its state dict, after saving and after loading."""

from typing import Any


def _untrained(trunk: Any) -> set[str]:
    """Names of what does not train: it is found again by the model's name."""
    trained = {name for name, parameter in trunk.named_parameters() if parameter.requires_grad}
    return {name for part in ("backbone", "answering") for name in _names(trunk, part)} - trained


def _names(trunk: Any, part: str) -> list[str]:
    module = getattr(trunk, part)
    return [] if module is None else list(module.state_dict(prefix=part + "."))


def drop_untrained(trunk: Any, state: dict[str, Any], prefix: str, _: Any) -> None:
    """A state dict gets no more than what trains."""
    for name in _untrained(trunk):
        state.pop(prefix + name, None)


def miss_only_trained(trunk: Any, keys: Any) -> None:
    """Such a state dict lacks nothing."""
    known = _untrained(trunk)
    keys.missing_keys[:] = [key for key in keys.missing_keys if not known & set(_tails(key))]


def _tails(key: str) -> list[str]:
    """A name without its first parts, one by one: where the trunk stands in a model is not told."""
    parts = key.split(".")
    return [".".join(parts[place:]) for place in range(len(parts))]
