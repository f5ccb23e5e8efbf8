"""A task as a value: what its author writes (`TaskSpec`) and what it is once its training split was read (`Task`)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from mtl.data.corpus import SPLITS, Corpus, Source, read
from mtl.data.inputs import PLACE
from mtl.data.kinds import KINDS, Kind
from mtl.data.kinds.multilabel import names
from mtl.data.split import Split
from mtl.errors import MtlError, choices

SLOT = "{text}"


@dataclass(frozen=True)
class Task:
    """Everything a model, a prompt or a prediction needs to know of a task; no rows.

    Args:
        name: how the task is called in the record.
        kind: loss, metrics, label names.
        keywords: words that announce the task (`prompt=keyword`).
        phrase: a sentence that announces it, with the slot `{text}` where the text goes (`prompt=phrase`), and
            `{prompt}` where learned vectors may stand (`slot=inside`); without them that is nothing.
        metric: the metric the task is judged by.

    """

    name: str
    kind: Kind
    keywords: tuple[str, ...] = ()
    phrase: str = ""
    metric: str = ""

    def __post_init__(self) -> None:
        known = [str(name) for name in self.kind.metrics()]
        object.__setattr__(self, "metric", self.metric or self.kind.primary)
        if self.metric not in known:
            raise MtlError(f"task {self.name}: metric should be {choices(known)}. Found '{self.metric}'")

    @property
    def higher_is_better(self) -> bool:
        """Direction of the primary metric."""
        return bool(self.kind.metrics()[self.metric].higher_is_better)

    def state(self) -> dict[str, Any]:
        """Plain data from which `from_state` makes the task again, without its rows."""
        return {**asdict(self), "kind": {"name": self.kind.name, **vars(self.kind)}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Task":
        """The task that `state` came from."""
        fields = dict(state["kind"])
        kind = KINDS[fields.pop("name")](**fields)
        return cls(state["name"], kind, tuple(state["keywords"]), state["phrase"], state["metric"])


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """A task's labels on a corpus: for each split the rows of the corpus that have one, and all targets by row."""

    task: Task
    corpus: Corpus
    rows: Mapping[str, np.ndarray]
    targets: Sequence[np.ndarray | None]
    skipped: Sequence[str] = ()


@dataclass(frozen=True)
class TaskSpec:
    """A task as its author writes it in YAML.

    Args:
        name: the file's name.
        kind: `classification`, `multilabel`, `regression` or `tagging`.
        source: where the rows come from.
        label: the field of the label.
        labels: label names in the order of the model's outputs; a mapping renames the raw values;
            `None` takes those of the training split.
        keywords: for `prompt=keyword`.
        phrase: for `prompt=phrase`, with the slot `{text}`.
        metric: primary metric; `None` takes the kind's.
        split: how rows are split where the source doesn't say.
        on_error: `stop` at the first broken row, or `skip` and count them.

    """

    name: str
    kind: str
    source: Source
    label: str = "label"
    labels: Sequence[str] | Mapping[str, str] | None = None
    keywords: Sequence[str] = ()
    phrase: str = ""
    metric: str | None = None
    split: Split = field(default_factory=Split)
    on_error: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise MtlError(f"task {self.name}: kind should be {choices(KINDS)}. Found '{self.kind}'")
        if self.on_error not in ("stop", "skip"):
            raise MtlError(f"task {self.name}: on_error should be stop or skip. Found '{self.on_error}'")
        for option in ("labels", "keywords"):
            if isinstance(found := getattr(self, option), str):
                raise MtlError(f"task {self.name}: {option} should be a list. Found '{found}'")
        if self.phrase and self.phrase.count(SLOT) != 1:
            raise MtlError(f"task {self.name}: phrase should hold the slot {SLOT} once. Found '{self.phrase}'")
        if self.phrase.count(PLACE) > 1:
            raise MtlError(f"task {self.name}: phrase should hold {PLACE} once at most. Found '{self.phrase}'")

    def load(self) -> LabelledRows:
        """Read the rows, fit the labels on the training split and turn every label into a target."""
        try:
            corpus = read(self.source, split=self.split, on_error=self.on_error)
        except MtlError as error:
            raise MtlError(f"task {self.name}: {error}") from None
        if KINDS[self.kind].per_token and corpus.tokens is None:
            raise MtlError(f"task {self.name}: tagging needs lists of tokens. Field '{self.source.text}' holds texts")
        values = self._values(corpus)
        train = np.flatnonzero(corpus.splits == SPLITS.index("train"))
        declared = list(dict.fromkeys(self.labels.values())) if isinstance(self.labels, Mapping) else self.labels
        try:
            kind = KINDS[self.kind].fit((v for row in train if (v := values[row]) not in (None, "")), declared)
        except ValueError as error:
            raise MtlError(f"task {self.name}: {error}") from None
        targets, skipped = self._targets(kind, corpus, values)
        labelled = np.array([target is not None for target in targets])
        rows = {split: np.flatnonzero(labelled & (corpus.splits == i)) for i, split in enumerate(SPLITS)}
        for split, found in rows.items():
            if not len(found):
                raise MtlError(f"task {self.name}: the {split} split has no rows with a label in '{self.label}'")
        task = Task(self.name, kind, tuple(self.keywords), self.phrase, self.metric or "")
        return LabelledRows(task, corpus, rows, targets, skipped)

    def _values(self, corpus: Corpus) -> Sequence[Any]:
        if self.label not in corpus.columns:
            raise MtlError(
                f"task {self.name}: label should be a field of {corpus.files[0]}: {choices(corpus.columns)}. "
                f"Found '{self.label}'"
            )
        values = corpus.columns[self.label]
        if not isinstance(self.labels, Mapping):
            return values
        renamed = {str(raw): name for raw, name in self.labels.items()}
        if self.kind == "multilabel":
            values = [names(value) for value in values]
        return [
            [renamed.get(str(part), part) for part in value]
            if isinstance(value, list | tuple)
            else renamed.get(str(value), value)
            for value in values
        ]

    def _targets(self, kind: Kind, corpus: Corpus, values: Sequence[Any]) -> tuple[list[np.ndarray | None], list[str]]:
        targets: list[np.ndarray | None] = []
        skipped = []
        for row, value in enumerate(values):
            try:
                target = kind.encode(value)
                if kind.per_token and corpus.tokens is not None and len(target) != len(corpus.tokens[row]):
                    raise ValueError(f"{len(target)} tags for {len(corpus.tokens[row])} tokens")
                targets.append(target)
            except ValueError as error:
                message = f"{corpus.where(row)}: field '{self.label}': {error}"
                if self.on_error == "stop":
                    raise MtlError(f"task {self.name}: {message}; on_error=skip leaves such rows out") from None
                skipped.append(message)
                targets.append(None)
        return targets, skipped
