"""Candidate prompts of several families from one description, and the controls that they have to beat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mtl.data.task import LabelledRows
from mtl.data.text import CJK
from mtl.design.keywords import Keyword, keywords
from mtl.design.pieces import Counts, common
from mtl.errors import MtlError
from mtl.prompts.feature import MEASURES

TEXTS = ("keyword", "phrase", "feature")
LEARNED = {
    "soft": "mtl.model.prompt.soft.Soft",
    "feature_vector": "mtl.model.prompt.feature_vector.FeatureVector",
    "prefix": "mtl.model.prompt.prefix.Prefix",
}
"""Families of trained vectors that start from words: their embeddings, or the keys and values that they have."""
FAMILIES = (*TEXTS, *LEARNED)
WORDED = ("keyword", "phrase", *LEARNED)
"""Families that are made of words: each has controls of its own."""
TEMPLATE = "{text}（{words}：{labels}）"
TARGETS = {name: f"mtl.prompts.{name}.{name.capitalize()}" for name in TEXTS} | LEARNED
Words = Mapping[str, Sequence[str]]
"""Of each task."""
Tables = Mapping[str, Mapping[str, Counts]]
"""What each statistic is taken of, task by task."""


@dataclass(frozen=True)
class Candidate:
    """One prompt.

    Args:
        name: of its file.
        family: `none`, or one of `FAMILIES`.
        origin: the statistic (of words or of measures), `author` for the tasks' own words, or the control.
        node: its YAML.
        words: that it says, by task.
        control: whether it is only there to be beaten.
    """

    name: str
    family: str
    origin: str
    node: Mapping[str, Any]
    words: Words = field(default_factory=dict)
    control: bool = False

    @property
    def lineage(self) -> dict[str, str]:
        """Where it comes from, as tags of its runs."""
        said = {f"mtl.design.words.{task}": " ".join(words) for task, words in self.words.items()}
        role = "control" if self.control else "candidate"
        return {"mtl.design.role": role, "mtl.design.family": self.family, "mtl.design.origin": self.origin, **said}


def candidates(
    loaded: Mapping[str, LabelledRows],
    tables: Tables,
    number: int,
    families: Sequence[str] = TEXTS,
    measures: Sequence[str] = (),
) -> list[Candidate]:
    """Every family with every statistic, and with the tasks' own words where all have them; equal ones once.

    Args:
        loaded: the tasks.
        tables: of each task's training rows, by statistic.
        number: keywords a label.
        families: of `FAMILIES`.
        measures: those that differ between labels, for a feature prompt of these alone beside the one of all.
    """
    found = []
    chosen = {
        name: {task: keywords(part, name, number) for task, part in by_task.items()} for name, by_task in tables.items()
    }
    for family in families:
        if family == "feature":
            found += _features(measures)
            continue
        own = {task: rows.task.keywords if family != "phrase" else [rows.task.phrase] for task, rows in loaded.items()}
        if all(words and all(words) for words in own.values()):
            node = own if family != "phrase" else {task: words[0] for task, words in own.items()}
            found.append(_of(family, "author", own, node))
        for statistic, by_task in chosen.items():
            if lacking := [task for task, words in by_task.items() if not words]:
                raise MtlError(f"task {lacking[0]}: no word goes with a label by {statistic}; words of its own may do")
            found.append(worded(family, statistic, by_task, loaded))
    return list({str(candidate.node): candidate for candidate in reversed(found)}.values())[::-1]


def _features(measures: Sequence[str]) -> list[Candidate]:
    node = {"_target_": TARGETS["feature"]}
    found = [Candidate("design_feature", "feature", "lengths and signs", node)]
    if 0 < len(measures) < len(MEASURES):
        chosen = node | {"measures": list(measures)}
        found.append(Candidate("design_feature_kruskal", "feature", "kruskal", chosen))
    return found


def worded(
    family: str, origin: str, by_task: Mapping[str, Sequence[Keyword]], loaded: Mapping[str, LabelledRows]
) -> Candidate:
    """A candidate that says these keywords."""
    words = {task: [keyword.word for keyword in found] for task, found in by_task.items()}
    return _said(family, origin, words, loaded)


def controls(
    loaded: Mapping[str, LabelledRows],
    tables: Tables,
    number: int,
    statistic: str,
    families: Sequence[str],
    seed: int = 0,
) -> list[Candidate]:
    """`none`, and in each family random words, words of shuffled labels, and filler of the same length.

    Args:
        loaded: the tasks.
        tables: of each task's training rows, by statistic.
        number: keywords a label.
        statistic: by which the words of shuffled labels, and how many words there are, are found.
        families: of `WORDED`.
        seed: of what is random.
    """
    generator, counts = np.random.default_rng(seed), tables[statistic]
    real = {task: [found.word for found in keywords(part, statistic, number)] for task, part in counts.items()}
    random = {
        task: generator.choice(part.words, min(len(real[task]), len(part.words)), replace=False).tolist()
        for task, part in counts.items()
    }
    shuffled = {
        task: [found.word for found in keywords(part.shuffled(seed), statistic, number)] or random[task]
        for task, part in counts.items()
    }
    filler = {task: _filler(real[task], loaded[task]) for task in counts}
    made = [Candidate("none", "none", "none", {}, control=True)]
    for family in families:
        for origin, words in (("random", random), ("shuffled", shuffled), ("filler", filler)):
            made.append(_said(family, origin, words, loaded, control=True))
    return made


def _filler(words: Sequence[str], rows: LabelledRows) -> list[str]:
    """As many words, each as long, that say nothing: one common word or character again and again."""
    texts = [rows.corpus.texts[row] for row in rows.rows["train"][:2000]]
    if any(CJK.search(word) for word in words):
        return ["的" * len(word) for word in words]
    return (common(texts, 1) or ["the"]) * len(words)


def _said(
    family: str, origin: str, words: Words, loaded: Mapping[str, LabelledRows], *, control: bool = False
) -> Candidate:
    if family != "phrase":
        return _of(family, origin, words, dict(words), control=control)
    said = {
        task: TEMPLATE.replace("{words}", "，".join(found)).replace(
            "{labels}", "，".join(loaded[task].task.kind.labels)
        )
        for task, found in words.items()
    }
    return _of(family, origin, words, said, control=control)


def _of(family: str, origin: str, words: Words, said: Mapping[str, Any], *, control: bool = False) -> Candidate:
    plain = {task: value if isinstance(value, str) else list(value) for task, value in said.items()}
    if family in LEARNED:
        none = {"_target_": "mtl.prompts.none.NoPrompt"}
        # a task's own words enter the vocabulary by their field, others are in its training rows
        init = "keywords" if origin == "author" else plain
        node: dict[str, Any] = {"_target_": TARGETS[family], "text": none, "init": init}
    else:
        node = {"_target_": TARGETS[family], f"{family}s": plain}
    return Candidate(f"design_{family}_{origin}", family, origin, node, words, control)
