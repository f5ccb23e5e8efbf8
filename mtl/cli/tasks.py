"""A task's YAML to a `TaskSpec`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtl.cli.instantiate import instantiate
from mtl.data.corpus import Source
from mtl.data.split import Split
from mtl.data.task import TaskSpec
from mtl.errors import MtlError, choices

SOURCE_FIELDS = ("source", "text", "format", "labels_path")
TASK_FIELDS = ("kind", "label", "labels", "keywords", "phrase", "metric", "on_error")
FIELDS = (*TASK_FIELDS[:1], *SOURCE_FIELDS, *TASK_FIELDS[1:], "split")


def make_spec(name: str, node: Mapping[str, Any]) -> TaskSpec:
    """The task that a YAML of these fields describes; MtlError names a field that is missing or unknown."""
    fields = dict(node)
    base = fields.pop("_base_", None)
    if unknown := [field for field in fields if field not in FIELDS]:
        raise MtlError(f"task {name}: the fields of a task are {choices(FIELDS)}. Found '{unknown[0]}'")
    for required in ("kind", "source"):
        if fields.get(required) is None:
            raise MtlError(f"task {name}: the field {required} is missing")
    source = make_source(name, {key: fields.pop(key, None) for key in SOURCE_FIELDS}, base)
    split = fields.pop("split", None)
    return TaskSpec(
        name=name, source=source, split=_split(name, split), **{k: v for k, v in fields.items() if v is not None}
    )


def make_source(name: str, fields: Mapping[str, Any], base: str | None) -> Source:
    """The source: a node with `_target_`, a file, a file for each split, or `{dataset: NAME}` of the hub."""
    source = fields["source"]
    options = {key: value for key, value in fields.items() if key != "source" and value is not None}
    if isinstance(source, Mapping) and "_target_" in source:
        return instantiate(f"task {name}", source, **options)
    if isinstance(source, Mapping) and "dataset" in source:
        from mtl.data.sources.hub import HubDataset

        rest = {key: value for key, value in source.items() if key != "dataset"}
        folder = Path(base or Path.cwd()) / str(source["dataset"])
        try:
            return HubDataset(name=str(folder) if folder.is_dir() else source["dataset"], **rest, **options)
        except TypeError as error:
            raise MtlError(f"task {name}: source: {error}") from None
    from mtl.data.sources.files import Files

    return Files(path=source, folder=str(base or Path.cwd()), **options)


def _split(name: str, node: Any) -> Split:
    if node is None:
        return Split()
    if isinstance(node, str):
        return Split(column=node)
    if not isinstance(node, Mapping) or (unknown := set(node) - {"fractions", "column", "seed"}):
        found = node if not isinstance(node, Mapping) else sorted(unknown)[0]
        raise MtlError(
            f"task {name}: split should be a column's name, or have fractions, column or seed. Found '{found}'"
        )
    return Split(**node)
