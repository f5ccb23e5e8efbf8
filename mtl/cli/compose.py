"""Configurations of a sweep's jobs: from files that are read once, and without Hydra where only values differ."""

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

Composed = tuple[dict[str, Any], dict[str, str]]
"""A resolved configuration as plain data, and the option of each group."""


class Frozen(ConfigRepository):
    """The configuration files as they are now. Later edits change nothing, and processes that get a copy read no files.

    Args:
        sources: of the search path; those that are no folders (Hydra's own, in its package) are asked once and kept.
    """

    def __init__(self, sources: Sequence[ConfigSource]) -> None:
        self.sources = list(sources)
        self._kept: dict[str, ConfigResult | None] = {}
        for source in self.sources:
            # by its scheme: Hydra's search for plugins makes these classes anew
            if source.scheme() == "file" and source.available():
                self._read(source, "")
        self._groups = {path: super(Frozen, self).group_exists(path) for path in self._folders}

    @property
    def _folders(self) -> set[str]:
        return {path.rpartition("/")[0] for path in self._kept}

    def _read(self, source: ConfigSource, folder: str) -> None:
        from hydra.core.object_type import ObjectType

        for name in source.list(folder, ObjectType.CONFIG):
            self.load_config(f"{folder}/{name}".lstrip("/"))
        for name in source.list(folder, ObjectType.GROUP):
            self._read(source, f"{folder}/{name}".lstrip("/"))

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Hydra asks for this at each composition; the sources stay."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        """A copy: composing changes what it gets."""
        if config_path not in self._kept:
            self._kept[config_path] = super().load_config(config_path)
        return copy.deepcopy(self._kept[config_path])

    def config_exists(self, config_path: str) -> bool:
        """Also when its file is gone by now."""
        return self._kept.get(config_path) is not None or super().config_exists(config_path)

    def group_exists(self, config_path: str) -> bool:
        """Also when its folder is gone by now."""
        return self._groups.get(config_path, False) or super().group_exists(config_path)

    def __deepcopy__(self, _: object) -> "Frozen":
        return self


def freeze(loader: Any, master: DictConfig) -> None:
    """Let the loader compose every job of the sweep from the files as they are now."""
    words = OmegaConf.to_container(master.hydra.overrides.hydra)
    _, repository = loader._parse_overrides_and_create_caching_repo(master.hydra.job.config_name, words)
    loader.repository = Frozen(repository.get_sources())


class Composer:
    """What Hydra would compose, a hundred times faster for jobs that differ in values only.

    Hydra composes once for each distinct choice of options; plain values (`seed=3`) are set in a copy. Whatever is
    not plain goes through Hydra: added or deleted fields, whole nodes, fields that an interpolation may read.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader, self._master = loader, master
        self._is_group = cache(loader.repository.group_exists)  # ty: ignore[missing-attribute]
        parser = OverridesParser.create()
        self._parse = cache(lambda word: parser.parse_override(word))
        self._base = cache(self._composed_base)

    def __call__(self, words: Sequence[str]) -> Composed:
        """The configuration of the job with these overrides."""
        parsed = [self._parse(word) for word in words]
        values = [override for override in parsed if self._is_value(override)]
        base, chosen, tied = self._base(
            tuple(word for word, override in zip(words, parsed, strict=True) if override not in values)
        )
        config = copy.deepcopy(base)
        if config is None or not all(_set(config, override, tied) for override in values):
            found, chosen = self._hydra(words)
            config = _plain(found)
        return config, chosen

    def _is_value(self, override: Override) -> bool:
        plain = override.type == OverrideType.CHANGE and override.package is None
        return plain and not override.is_hydra_override() and not self._is_group(override.key_or_group)

    def _hydra(self, words: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
        found = self._loader.load_sweep_config(self._master, list(words))
        chosen = {str(group): str(option) for group, option in found.hydra.runtime.choices.items()}
        OmegaConf.set_struct(found, False)
        del found["hydra"]
        return found, chosen

    def _composed_base(self, words: tuple[str, ...]) -> tuple[dict[str, Any] | None, dict[str, str], str]:
        found, chosen = self._hydra(words)
        try:
            config = _plain(found)
        except OmegaConfBaseException:  # an interpolation of what only a value gives
            return None, {}, ""
        return config, chosen, " ".join(_interpolations(OmegaConf.to_container(found)))


def _plain(found: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(found, resolve=True)
    return plain


def _set(config: dict[str, Any], override: Override, tied: str) -> bool:
    """Set a plain value; False where only Hydra knows how."""
    value: Any = override.value()
    *path, last = parts = override.key_or_group.split(".")
    if any(part in tied for part in parts) or isinstance(value, Mapping) or "${" in str(override.input_line):
        return False
    node: Any = config
    for part in path:
        node = node.get(part) if isinstance(node, dict) else None
    if not isinstance(node, dict) or last not in node or isinstance(node[last], dict):
        return False
    node[last] = copy.deepcopy(value)
    return True


def _interpolations(node: Any) -> list[str]:
    """All texts of a configuration that hold `${`."""
    if isinstance(node, Mapping):
        return [text for child in node.values() for text in _interpolations(child)]
    if isinstance(node, list | tuple):
        return [text for child in node for text in _interpolations(child)]
    return [node] if isinstance(node, str) and "${" in node else []
