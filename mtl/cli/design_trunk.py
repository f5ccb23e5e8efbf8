"""What `mtl design` asks a pretrained trunk before any training, and what it says where there is nothing to ask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mtl.errors import MtlError

if TYPE_CHECKING:
    from mtl.data.encoder import Encoder
    from mtl.data.task import LabelledRows
    from mtl.design.candidates import Candidate
    from mtl.design.pieces import Counts
    from mtl.design.trunk import Alike, TrunkFacts
    from mtl.model.base import Trunk

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Opened:
    """A pretrained trunk as it is before training, with its tokenizer.

    Args:
        trunk: in evaluation.
        encoder: its tokenizer.
        lacks: why it can't say words; empty where it can.
    """

    trunk: "Trunk"
    encoder: "Encoder"
    lacks: str

    def says(self, word: str) -> bool:
        """Whether the tokenizer knows the word."""
        return self.encoder.unknown is None or self.encoder.unknown not in self.encoder.encode(word)


@dataclass(frozen=True)
class Looked:
    """What the trunk told: facts by task, likeness of every two tasks, and in words what was left out and why."""

    facts: "Mapping[str, TrunkFacts]" = field(default_factory=dict)
    alike: "Sequence[Alike]" = ()
    skipped: Sequence[str] = ()


def check_families(config: Config, families: Sequence[str], opened: Opened | None = None) -> None:
    """MtlError where a family can't go with the trunk: found before any training."""
    from hydra.utils import get_class

    from mtl.design.candidates import LEARNED
    from mtl.model.base import Trunk

    trunk, made = config["trunk"], get_class(config["trunk"]["_target_"])
    learned = [family for family in families if family in LEARNED]
    without = getattr(made, "prefix_shape", None) is Trunk.prefix_shape
    if "prefix" in learned and (without or (opened is not None and opened.trunk.prefix_shape() is None)):
        said = made.__name__.lower()
        raise MtlError(f"families: prefix needs a trunk with keys and values, such as transformer. Found {said}")
    if learned and trunk.get("cache"):
        raise MtlError(f"trunk.cache should be false: family {learned[0]} changes what the trunk reads")


def open_trunk(config: Config, loaded: "Mapping[str, LabelledRows]") -> Opened | None:
    """The trunk with its language model, if it has one; `None` for a trunk that starts from scratch."""
    from mtl.cli.build import make_encoder
    from mtl.cli.instantiate import instantiate
    from mtl.prompts.none import NoPrompt

    if "tokenizer" not in config["trunk"]:
        return None
    encoder = make_encoder(config, loaded, NoPrompt())
    node = {name: value for name, value in config["trunk"].items() if name not in ("tokenizer", "cache")}
    given = {"vocabulary_size": len(encoder), "per_token": False}
    try:
        return Opened(instantiate("trunk", node | {"language_model": True}, **given).eval(), encoder, "")
    except MtlError as error:
        return Opened(instantiate("trunk", node, **given).eval(), encoder, str(error).removeprefix("trunk: "))


def label_words(
    opened: Opened | None, config: Config, loaded: "Mapping[str, LabelledRows]"
) -> "tuple[dict[str, Counts], str]":
    """What the statistic `lm` is taken of, task by task; where it can't be, nothing and why."""
    from mtl.cli.cached import device_of
    from mtl.data.tokenizer import PretrainedTokenizer
    from mtl.design.label_words import likelihoods

    if opened is None:
        return {}, "the trunk starts untrained and has no language model"
    if opened.lacks:
        return {}, opened.lacks
    assert isinstance(opened.encoder, PretrainedTokenizer)
    opened.trunk.to(device_of(config["trainer"]["accelerator"]))
    try:
        length = config["data"]["max_length"]
        return {name: likelihoods(opened.trunk, opened.encoder, rows, length) for name, rows in loaded.items()}, ""
    except MtlError as error:
        return {}, str(error)


def look(
    opened: Opened | None, config: Config, loaded: "Mapping[str, LabelledRows]", found: "Sequence[Candidate]"
) -> Looked:
    """Probes and ranks without a prompt; likeness under the first keywords and the first phrases of the candidates."""
    from mtl.cli.build import announce, brought_keys
    from mtl.cli.cached import AUTOCAST, cache_trunk, device_of
    from mtl.cli.instantiate import instantiate
    from mtl.design.trunk import Asked, Features, alike, describe
    from mtl.model.cache import Reader
    from mtl.model.multitask import MultiTaskModel
    from mtl.prompts.none import NoPrompt

    if opened is None:
        return Looked(
            skipped=["Probes of the trunk are left out: it starts untrained, so its features say nothing yet."]
        )
    length, trainer = config["data"]["max_length"], config["trainer"]
    tasks = announce(loaded, NoPrompt(), opened.encoder, length)
    model = MultiTaskModel(opened.trunk, {name: rows.task.kind for name, rows in loaded.items()})
    trunk = cache_trunk(config, "".join(brought_keys(config)), model, tasks).trunk
    cast = AUTOCAST.get(trainer["precision"])
    features = Features(Reader(trunk, "texts", device_of(trainer["accelerator"]), cast))
    facts = {name: describe(features, task) for name, task in tasks.items()}
    prompts = {}
    for family in ("keyword", "phrase"):
        first = next((one for one in found if one.family == family), None)
        if first is not None:
            prompts[first.name] = instantiate("prompt", first.node)
    return Looked(facts, alike(Asked(features, tasks, prompts, opened.encoder, length)))
