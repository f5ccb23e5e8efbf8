"""Packages of the user's that a configuration may name: those of `MTL_EXTENSIONS`, and the identity of their code."""

import hashlib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mtl.errors import MtlError

VARIABLE = "MTL_EXTENSIONS"


def extensions() -> tuple[str, ...]:
    """The modules and packages that the environment names, comma-separated; MtlError where one is no name."""
    names = tuple(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip())
    for name in names:
        if not name.isidentifier():
            raise MtlError(f"{VARIABLE} should name top-level modules or packages, comma-separated. Found '{name}'")
    return names


def code_of(node: Any) -> list[str]:
    """Hashes of the extensions that a configuration node uses, by name: a run of other code is another run."""
    used = {target.partition(".")[0] for target in _targets(node)} & set(extensions())
    return [f"{name} {_hash(name)}" for name in sorted(used)]


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield str(node["_target_"])
        for child in node.values():
            yield from _targets(child)
    elif isinstance(node, list | tuple):
        for child in node:
            yield from _targets(child)


@cache  # as Python imports a module once a process
def _hash(name: str) -> str:
    """Of all Python files of a package, or the one of a module; empty where there is none (the import will say so)."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return ""
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [(str(path.relative_to(folder)), path) for folder in folders for path in folder.rglob("*.py")]
    if not folders and spec.origin and Path(spec.origin).is_file():
        files = [(name, Path(spec.origin))]
    found = hashlib.sha256()
    for place, path in sorted(files):
        found.update(f"{place}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]
