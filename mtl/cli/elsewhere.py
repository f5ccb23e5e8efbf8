"""An override of a field that is not there, answered in one line: which options of its group have it."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from mtl.cli.conf import conf_dir, options
from mtl.errors import choices

_NOT_THERE = re.compile(r"Could not override '(?P<key>[^']+)'")
_ONE = re.compile(r"[\w-]+|\[.*\]")
_NO_NODES = ("task", "experiment")
"""Groups whose options stand elsewhere in the configuration."""


def elsewhere(message: str, words: Sequence[str]) -> str | None:
    """What to say where Hydra could not override a field; `None` for another message.

    Args:
        message: of Hydra's error.
        words: the overrides that were given.
    """
    if (found := _NOT_THERE.search(message)) is None:
        return None
    key = found["key"]
    parts = re.split(r"[./]", key)
    named = dict(word.split("=", 1) for word in words if options(word.partition("=")[0]))
    config = _composed([word for word in words if word.startswith("hydra.searchpath=")], named, key)
    named |= {group: str(value) for group, value in (config["hydra"]["sweeper"].get("params") or {}).items()}
    swept = {group: value for group, value in named.items() if not _ONE.fullmatch(value)}
    chosen = config["hydra"]["runtime"]["choices"] | swept
    for count in range(len(parts) - 1, 0, -1):
        group, field = "/".join(parts[:count]), ".".join(parts[count:])
        if group in chosen and group not in _NO_NODES:
            said = f"{group}={chosen[group]} has no field {field}"
            if group in swept:
                said = f"not every option of {group}={swept[group]} has a field {field}"
            having = [option for option in options(group) if _has(group, option, parts[count])]
            if having:
                return f"{key}: {said}; {group}={choices(having)} has"
            return f"{key}: {said}{_fields(config, parts[:count])} (+{key}=VALUE hands one more to it)"
        if fields := _fields(config, parts[:count]):
            return f"{key}: {'.'.join(parts[:count])} has no field {field}{fields}"
    alike = difflib.get_close_matches(parts[0], [*config, *config["hydra"]["runtime"]["choices"]], 1)
    meant = f"did you mean {alike[0]}?" if alike else "`mtl train --help` lists all"
    return f"{key}: there is no option {parts[0]}; {meant}"


def _composed(search: Sequence[str], named: Mapping[str, str], key: str) -> dict[str, Any]:
    """The configuration with the options that are named; with the usual ones where they don't go together."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    GlobalHydra.instance().clear()
    single = [f"{group}={value}" for group, value in named.items() if _ONE.fullmatch(value) and group != key]
    with initialize_config_dir(str(conf_dir().resolve()), version_base="1.3"):
        try:
            found = compose("config", [*search, *single], return_hydra_config=True)
        except HydraException:
            found = compose("config", return_hydra_config=True)
    plain: Any = OmegaConf.to_container(found)
    return plain


def _has(group: str, option: str, field: str) -> bool:
    """Whether the option's file has the field, or a group of that name among its defaults."""
    node = yaml.safe_load((conf_dir() / group / f"{option}.yaml").read_text(encoding="utf-8")) or {}
    below = [name for entry in node.get("defaults", []) if isinstance(entry, Mapping) for name in entry]
    return field in node or field in below


def _fields(config: Mapping[str, Any], path: Sequence[str]) -> str:
    """`; it has a, b and c` for a node of the configuration; empty where there is none."""
    node: Any = config
    for part in path:
        node = node.get(part) if isinstance(node, Mapping) else None
    names = [name for name in node if not name.startswith("_")] if isinstance(node, Mapping) else None
    return "" if names is None else f"; it has {', '.join(names) or 'no field'}"
