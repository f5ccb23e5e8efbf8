"""What `mtl design` takes from the rows before any training: words, effects of measures, and facts for the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mtl.cli.design_trunk import Opened, label_words, look, open_trunk
from mtl.errors import MtlError

if TYPE_CHECKING:
    from mtl.data.encoder import Encoder
    from mtl.data.task import LabelledRows
    from mtl.design.candidates import Candidate, Tables
    from mtl.design.measures import Effect
    from mtl.design.pieces import Counts

FEW = 20
"""Texts on which the length of a prompt is tried out."""


@dataclass(frozen=True)
class Rows:
    """The tasks with all that candidates are made of.

    Args:
        config: that all runs have.
        loaded: the tasks.
        counts: pieces of the training texts of each task.
        tables: what each statistic is taken of.
        effects: of each measure, by task.
        opened: the trunk, if it is pretrained.
        skipped: what was left out, in words.
    """

    config: Mapping[str, Any]
    loaded: "Mapping[str, LabelledRows]"
    counts: "Mapping[str, Counts]"
    tables: "Tables"
    effects: "Mapping[str, Mapping[str, Effect]]"
    opened: Opened | None
    skipped: Sequence[str]


def gather(
    config: Mapping[str, Any], loaded: "Mapping[str, LabelledRows]", least: int, statistics: Sequence[str] | None
) -> Rows:
    """Count, ask the language model, measure: on the training split alone.

    Args:
        config: that all runs have.
        loaded: the tasks.
        least: training rows that a keyword stands in, or more.
        statistics: by which words are found; `None`: all that there are.

    Raises:
        MtlError: there are no words, or `lm` is asked for by name and the trunk has no language model.
    """
    from mtl.design.analysis import targets, texts
    from mtl.design.keywords import STATISTICS
    from mtl.design.measures import effects

    counts, skipped = count_all(loaded, least), []
    opened = open_trunk(config, loaded)
    if opened is not None:  # a word that the tokenizer doesn't know would be read as no word at all
        counts = {task: part.only(opened.says) for task, part in counts.items()}
    tables: dict[str, Mapping[str, Counts]] = {}
    for name in statistics or STATISTICS:
        tables[name] = counts
        if name == "lm":
            tables[name], why = label_words(opened, config, loaded)
            if why and statistics:
                raise MtlError(f"statistics: lm needs a trunk with a language model: {why}")
            if why:
                skipped.append(f"Label words by the language model are left out: {why}.")
                del tables[name]
    found = {task: effects(texts(rows, "train"), targets(rows, "train")) for task, rows in loaded.items()}
    return Rows(config, loaded, counts, tables, found, opened, skipped)


def check_room(rows: Rows, found: "Sequence[Candidate]") -> None:
    """MtlError where a prompt leaves no room for a text: found before any training."""
    from mtl.cli.instantiate import instantiate
    from mtl.data.vocabulary import Vocabulary
    from mtl.design.analysis import texts
    from mtl.prompts.announce import announced

    data = rows.config["data"]
    encoder: Encoder = rows.opened.encoder if rows.opened else Vocabulary.fit([], data["unit"], min_count=1)
    few = {task: texts(part, "train")[:FEW] for task, part in rows.loaded.items()}
    for candidate in (one for one in found if one.node):
        prompt = instantiate("prompt", candidate.node)
        for name, part in rows.loaded.items():
            prompt.fit(part.task, few[name])
            try:
                announced(prompt, part.task, few[name], None, encoder, data["max_length"])
            except MtlError as error:
                raise MtlError(f"{candidate.name} for task {name}: data.{error}; --keywords says fewer words") from None


def seen(rows: Rows, found: "Sequence[Candidate]", number: int) -> dict[str, Any]:
    """What the page tells of the tasks: facts, pairs, words (`number` a label), effects, and what the trunk knows."""
    from mtl.design.analysis import describe, pairs
    from mtl.design.keywords import keywords

    looked = look(rows.opened, rows.config, rows.loaded, found)
    return {
        "facts": {task: describe(part, rows.config["batch_size"]) for task, part in rows.loaded.items()},
        "pairs": pairs(rows.loaded, rows.counts),
        "keywords": {
            task: {name: keywords(by_task[task], name, number) for name, by_task in rows.tables.items()}
            for task in rows.loaded
        },
        "effects": rows.effects,
        "trunk": looked.facts,
        "alike": looked.alike,
        "skipped": [*rows.skipped, *looked.skipped],
    }


def load(words: Sequence[str]) -> "tuple[dict[str, Any], dict[str, LabelledRows]]":
    """The configuration that all runs have, and the rows of its tasks."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from mtl.cli.build import make_specs
    from mtl.cli.checks import check
    from mtl.cli.conf import conf_dir, with_files
    from mtl.cli.elsewhere import elsewhere
    from mtl.cli.generation import generates

    GlobalHydra.instance().clear()
    try:
        with with_files(words) as found, initialize_config_dir(str(conf_dir().resolve()), version_base="1.3"):
            config: Any = OmegaConf.to_container(compose("config", found), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise MtlError(elsewhere(str(error), words) or " ".join(str(error).split())) from error
    check(config)
    if generates(config):
        raise MtlError("design compares labels, and head=generation may say none; take head=linear or head=cloze")
    specs = make_specs(config)
    for name, spec in specs.items():
        if spec.kind != "classification":
            raise MtlError(f"task {name}: design knows words for labels of classification. Found kind {spec.kind}")
    return config, {name: spec.load() for name, spec in specs.items()}


def count_all(loaded: "Mapping[str, LabelledRows]", least: int) -> "dict[str, Counts]":
    """The pieces of each task's training split, and of no other."""
    from mtl.design.analysis import targets, texts
    from mtl.design.pieces import count

    found = {}
    for task, rows in loaded.items():
        try:
            found[task] = count(texts(rows, "train"), targets(rows, "train"), rows.task.kind.labels, least)
        except MtlError as error:
            raise MtlError(f"task {task}: {error}") from None
    return found
