"""Label names: declared by the author, or found in the training split."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from mtl.errors import choices


def declared_or_found(values: Iterable[str], declared: Sequence[str] | None) -> tuple[str, ...]:
    """The declared labels as they stand, or the distinct values in sorted order; ValueError under two of them."""
    labels = tuple(str(label) for label in declared) if declared else tuple(sorted(set(values)))
    if len(set(labels)) != len(labels):
        raise ValueError(f"labels should be distinct. Found {list(labels)}")
    if len(labels) < 2:
        raise ValueError(f"there should be at least two labels. Found {list(labels)}")
    return labels


@lru_cache(maxsize=64)
def _positions(labels: tuple[str, ...]) -> dict[str, int]:
    return {label: index for index, label in enumerate(labels)}


def position(labels: tuple[str, ...], value: Any) -> int:
    """Where the label stands in the list; ValueError names it and the labels there are."""
    if value is None or value == "":
        raise ValueError(f"the label is empty; allowed: {choices(labels)}")
    try:
        return _positions(labels)[str(value)]
    except KeyError:
        raise ValueError(f"label '{value}' is not among the labels; allowed: {choices(labels)}") from None
