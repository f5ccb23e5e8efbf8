"""What the rows of a task are like, before any prompt: balance, lengths, duplicates, leaks, how easily it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mtl.data.task import LabelledRows
from mtl.design.pieces import Counts, pieces
from mtl.design.probes import Probes, probe

PROBE_ROWS = 4_000


@dataclass(frozen=True)
class TaskFacts:
    """One task.

    Args:
        rows: by split.
        balance: share of each label in the training split.
        lengths: of the training texts, in characters.
        padding: share of padding in batches of random training texts as wide as their longest, in characters.
        duplicates: training rows whose text another training row has.
        leaks: distinct texts of validation or test that stand in training too.
        contrary: distinct texts of training that stand there with two labels.
        probes: validation scores on TF-IDF of pieces.
        probe_rows: training rows that the probes saw.
    """

    rows: Mapping[str, int]
    balance: Mapping[str, float]
    lengths: np.ndarray
    padding: float
    duplicates: int
    leaks: int
    contrary: int
    probes: Probes
    probe_rows: int


@dataclass(frozen=True)
class PairFacts:
    """Two tasks.

    Args:
        tasks: their names.
        overlap: Jaccard index of their pieces (of those frequent enough to count).
        shared: rows that both label.
        v: Cramer's V of their labels in the training rows that both label, bias not corrected; None without any.
    """

    tasks: tuple[str, str]
    overlap: float
    shared: int
    v: float | None


def targets(rows: LabelledRows, split: str) -> np.ndarray:
    """Positions of the labels of a split, row by row."""
    return np.array([int(target) for row in rows.rows[split] if (target := rows.targets[row]) is not None])


def texts(rows: LabelledRows, split: str) -> list[str]:
    """The texts of a split."""
    return [rows.corpus.texts[row] for row in rows.rows[split]]


def describe(rows: LabelledRows, batch_size: int, seed: int = 0) -> TaskFacts:
    """The facts of one task; the test split is only counted and searched for leaks."""
    train, labels_N = texts(rows, "train"), targets(rows, "train")
    counts = np.bincount(labels_N, minlength=len(rows.task.kind.labels))
    lengths = np.array(list(map(len, train)))
    seen: dict[str, set[int]] = {}
    for text, label in zip(train, labels_N.tolist(), strict=True):
        seen.setdefault(text, set()).add(label)
    others = {*texts(rows, "val"), *texts(rows, "test")}
    probes, used = _probes(rows, seed)
    return TaskFacts(
        {split: len(found) for split, found in rows.rows.items()},
        {name: share / len(train) for name, share in zip(rows.task.kind.labels, counts.tolist(), strict=True)},
        lengths,
        padding(lengths, batch_size, seed),
        len(train) - len(seen),
        len(others & seen.keys()),
        sum(len(found) > 1 for found in seen.values()),
        probes,
        used,
    )


def padding(lengths_N: np.ndarray, batch_size: int, seed: int = 0) -> float:
    """Share of padding when rows in random order are cut into batches, each as wide as its longest row."""
    order = np.random.default_rng(seed).permutation(lengths_N)
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    cells = sum(len(batch) * int(batch.max()) for batch in batches)
    return 1 - int(lengths_N.sum()) / cells


def _probes(rows: LabelledRows, seed: int) -> tuple[Probes, int]:
    """Probes on TF-IDF of pieces; where there is no piece at all they see nothing."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    kept = {}
    for split in ("train", "val"):
        order = np.random.default_rng(seed).permutation(len(rows.rows[split]))[:PROBE_ROWS]
        found, labels_N = texts(rows, split), targets(rows, split)
        kept[split] = [found[place] for place in order], labels_N[order]
    (train, train_N), (val, val_N) = kept["train"], kept["val"]
    reader = TfidfVectorizer(analyzer=lambda text: list(pieces(text)), min_df=min(2, len(train)))
    try:
        seen = reader.fit_transform(train)
    except ValueError:  # no piece at all
        return probe(np.zeros((len(train), 1)), train_N, np.zeros((len(val), 1)), val_N), len(train)
    return probe(seen, train_N, reader.transform(val), val_N), len(train)


def pairs(loaded: Mapping[str, LabelledRows], counts: Mapping[str, Counts]) -> list[PairFacts]:
    """Every two tasks."""
    return [_pair(loaded, counts, one, other) for one, other in combinations(loaded, 2)]


def _pair(loaded: Mapping[str, LabelledRows], counts: Mapping[str, Counts], one: str, other: str) -> PairFacts:
    ours, theirs = set(counts[one].words.tolist()), set(counts[other].words.tolist())
    first, second = (_label_of(loaded[name]) for name in (one, other))
    both = sorted(first.keys() & second.keys())
    v = association([first[text] for text in both], [second[text] for text in both])
    return PairFacts((one, other), len(ours & theirs) / len(ours | theirs), len(both), v)


def _label_of(rows: LabelledRows) -> dict[str, int]:
    """Distinct training text to label; the first one where a text has several."""
    found: dict[str, int] = {}
    for text, label in zip(texts(rows, "train"), targets(rows, "train").tolist(), strict=True):
        found.setdefault(text, label)
    return found


def association(ours: Sequence[int], theirs: Sequence[int]) -> float | None:
    """Cramer's V (1946) of two labels of the same rows, by scipy; None where either has fewer than two values."""
    from scipy.stats.contingency import association as of_table
    from scipy.stats.contingency import crosstab

    if len(set(ours)) < 2 or len(set(theirs)) < 2:
        return None
    return float(of_table(crosstab(ours, theirs).count, method="cramer"))
