"""Rows of a dataset of the Hugging Face Hub, or of a local folder that the package `datasets` can load."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl.data.corpus import Row
from mtl.data.split import split_name
from mtl.errors import MtlError, choices


@dataclass(frozen=True)
class HubDataset:
    """The splits train, validation and test of a dataset (its other splits are left out); class labels by their names.

    A dataset with a single split is split as its task says.

    Args:
        name: `owner/name` on the Hub, or a folder.
        config: the dataset's configuration.
        text: field of the text.
        revision: commit, tag or branch.
    """

    name: str
    config: str | None = None
    text: str = "text"
    revision: str | None = None

    @property
    def key(self) -> str:
        """The fields, and for a folder the size and time of each file."""
        files = (
            sorted(path for path in Path(self.name).rglob("*") if path.is_file()) if Path(self.name).is_dir() else []
        )
        stamps = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return f"hub:{self.name}:{self.config}:{self.text}:{self.revision}:{stamps}"

    def rows(self) -> Iterator[Row]:
        """The rows of each split; `line` counts the rows of the split from 1."""
        splits = self._load()
        known = {}
        for name in splits:
            try:
                known[name] = split_name(name)
            except ValueError:
                continue
        if len(splits) == 1:
            known = dict.fromkeys(splits)
        if not known:
            raise MtlError(f"dataset {self.name}: it should have the split train. Found {choices(splits)}")
        for name, split in known.items():
            yield from self._rows(splits[name], f"{self.name}/{name}", split)

    def _rows(self, dataset: Any, file: str, split: str | None) -> Iterator[Row]:
        if self.text not in dataset.column_names:
            listed = choices(dataset.column_names)
            raise MtlError(f"dataset {file}: text should be one of its columns: {listed}. Found '{self.text}'")
        names = {column: found for column, feature in dataset.features.items() if (found := _names(feature))}
        for number, fields in enumerate(dataset, 1):
            for column, labels in names.items():
                fields[column] = _named(fields[column], labels)
            yield Row(fields, file, number, split)

    def _load(self) -> Any:
        try:
            import datasets
            from datasets.exceptions import DatasetsError
        except ImportError:
            raise MtlError("the package datasets is not installed; pip install 'mtl[hub]'") from None
        try:
            return datasets.load_dataset(self.name, self.config, revision=self.revision)
        except (OSError, ValueError, RuntimeError, DatasetsError) as error:
            reason = " ".join(str(error).split())
            raise MtlError(f"dataset {self.name} can't be loaded: {reason:.300}") from None


def _names(feature: Any) -> list[str] | None:
    """Label names of a class label, or of a list of them."""
    return getattr(getattr(feature, "feature", feature), "names", None)


def _named(value: Any, names: list[str]) -> Any:
    """The name for a position; -1 is how unlabelled rows are marked."""
    if isinstance(value, list):
        return [_named(v, names) for v in value]
    return None if value is None or value < 0 else names[value]
