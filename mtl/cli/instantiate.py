"""Objects from configuration: the one place where a name in a YAML file becomes code that runs."""

from collections.abc import Mapping
from typing import Any

from mtl.cli.extensions import VARIABLE, extensions
from mtl.errors import MtlError

ALLOWED = ("mtl.", "torch.optim.", "torchjd.")
"""Prefixes of what a `_target_` may name: a configuration from elsewhere can't run anything it likes.
What else may be is said in the environment, where no configuration reaches: see `mtl.cli.extensions`."""


def instantiate(group: str, config: Any, **given: Any) -> Any:
    """The object that a configuration node describes; what its constructor refuses becomes one line.

    Args:
        group: the config group, for messages.
        config: a node with `_target_`.
        given: further arguments, which may be any objects.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate as hydra_instantiate
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else dict(config)
    _check(group, plain, (*ALLOWED, *(f"{name}." for name in extensions())))
    try:
        return hydra_instantiate(plain, _convert_="all", _recursive_=True, **given)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, MtlError):
            raise MtlError(f"{group}: {cause}") from cause
        if isinstance(cause, ValueError | TypeError | ImportError):
            raise MtlError(f"{group}: {_one_line(cause)}") from cause
        raise


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _check(group: str, node: Any, allowed: tuple[str, ...]) -> None:
    if isinstance(node, Mapping):
        target = node.get("_target_", ALLOWED[0])
        if not str(target).startswith(allowed):
            own = f"for code of your own, {VARIABLE}={str(target).partition('.')[0]}"
            raise MtlError(f"{group}: _target_ should begin with {', '.join(allowed)} ({own}). Found '{target}'")
        for child in node.values():
            _check(group, child, allowed)
    elif isinstance(node, list | tuple):
        for child in node:
            _check(group, child, allowed)
