"""What the user got wrong and no constructor would see: values, and parts that don't go together."""

from collections.abc import Mapping
from functools import reduce
from typing import Any, get_args

from mtl.cli.length import make_budget
from mtl.data.batch import Announced, collate
from mtl.data.inputs import NO_PLACE
from mtl.data.pixels import is_image
from mtl.data.task import LabelledRows
from mtl.errors import MtlError, choices
from mtl.model.prompt.inserted import Inserted
from mtl.prompts.base import Prompt
from mtl.prompts.none import NoPrompt
from mtl.strategies.switching.plan import Plan
from mtl.strategies.weighting.adjusted import Reduction
from mtl.training.module import MultiTaskModule
from mtl.training.soundness import OnNan
from mtl.training.where import Where

Config = Mapping[str, Any]

WHOLE = {
    "steps": 1,
    "batch_size": 1,
    "eval_every": 1,
    "checkpoint_every": 1,
    "seed": 0,
    "tracking.every": 1,
    "tracking.gradients_every": 0,
    "trainer.accumulate": 1,
    "trainer.devices": 1,
    "trainer.threads": 1,
    "weigh_every": 1,
}
"""Fields that hold whole numbers, and the least of each."""
NULLABLE = ("trainer.threads", "tracking.gradients_every")
"""Those of them that may be null."""


def check(config: Config) -> None:
    """Find wrong values that no constructor would see; MtlError names the field."""
    budget = make_budget(config)
    for field, least in WHOLE.items():
        value = reduce(lambda node, part: node[part], field.split("."), config)
        if value is None and (field in NULLABLE or (field == "steps" and budget.unit != "steps")):
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            null = "null or " if field in NULLABLE else ""
            raise MtlError(f"{field} should be {null}a whole number of at least {least}. Found {value!r}")
    if config["selection"] not in ("last", "best"):
        raise MtlError(f"selection should be last or best. Found '{config['selection']}'")
    model = config["tracking"]["model"]
    if not isinstance(model, bool) and not (isinstance(model, str) and model):
        raise MtlError(f"tracking.model should be true, false or the name of a registered model. Found {model!r}")
    if not config["tasks"]:
        raise MtlError("task should name at least one task. Found none")
    for field in ("patience", "mean_patience"):
        value = config["early_stop"][field]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise MtlError(f"early_stop.{field} should be null or a whole number of at least 1. Found {value!r}")
    gain = config["early_stop"]["least_gain"]
    if isinstance(gain, bool) or not isinstance(gain, int | float) or not 0 <= gain < float("inf"):
        raise MtlError(f"early_stop.least_gain should be a number of 0 or more. Found {gain!r}")
    for field, allowed in {"gradients": Where, "reduction": Reduction, "on_nan": OnNan}.items():
        if config[field] not in get_args(allowed):
            raise MtlError(f"{field} should be {choices(get_args(allowed))}. Found '{config[field]}'")
    if not isinstance(config["weight_heads"], bool):
        raise MtlError(f"weight_heads should be true or false. Found '{config['weight_heads']}'")


def _check_trained(config: Config, module: MultiTaskModule) -> None:
    """Something should train, and what the tasks' words share with the embedding should be weighed with it."""
    if not any(parameter.requires_grad for parameter in module.model.parameters()):
        raise MtlError(
            "nothing trains: the trunk is frozen and says words; take trunk.tuning=lora, a learned prompt, or "
            "head.bias=true of head=cloze"
        )
    each = config["optimizer"]["_target_"].endswith(".AdaTask")
    apart = each or module.weighting.needs_gramian or config["trainer"]["accumulate"] > 1
    whole = config["trunk"].get("tuning") == "full" and config["trunk"].get("train_from") is None
    if module.model.says_words and apart and whole:
        raise MtlError(
            "a head of words with trunk.tuning=full trains the embedding through the words too, which a weighting that "
            "takes gradients, optimizer=adatask and trainer.accumulate would not see; take trunk.tuning=lora or "
            "trunk.train_from=0"
        )
    if module.model.condition is not None and each:
        raise MtlError("optimizer=adatask would not train what tells the model a preference; take another for cosmos")


def check_built(
    config: Config, module: MultiTaskModule, tasks: Mapping[str, Announced], prompt: Prompt, plan: Plan
) -> None:
    """Find combinations that each part alone can't see; MtlError names the way out."""
    _check_trained(config, module)
    _check_features(config, module, tasks)
    _check_places(module, tasks, prompt)
    _check_pooling(config, module, tasks, prompt)
    if plan.rate.needs_gramian and not module.weighting.needs_gramian:
        raise MtlError(
            "switching: this rate learns from task gradients: take a weighting that needs them, such as mgda"
        )


def check_images(config: Config, loaded: Mapping[str, LabelledRows], prompt: Prompt) -> None:
    """Images want a trunk that reads them; it has a `height`. (Such a trunk refuses texts where it meets one.) A prompt
    would first be fitted to them, and ask for keywords that have no place.
    """
    for name, rows in loaded.items():
        if is_image(rows.corpus.texts[0]) and "height" not in config["trunk"]:
            raise MtlError(f"task {name}: its rows are images, and this trunk reads texts; take trunk=lenet")
        if is_image(rows.corpus.texts[0]) and not isinstance(prompt, NoPrompt):
            raise MtlError(NO_PLACE)


def check_plan(plan: Plan) -> None:
    """What a plan can do and a run can't mean: tasks without a turn, and rates that never adapt."""
    if plan.steps is None:
        return
    tasks, length = len(plan.composition.names), plan.order.length
    if plan.order.visits and tasks * length > plan.steps:
        raise MtlError(
            f"switching: a round of {tasks} visits of {length} steps takes {tasks * length}, more than the run's "
            f"{plan.steps}: some task would have none. Take a smaller switching.order.length or more steps"
        )
    if plan.rate.adaptive and plan.block >= plan.steps and tasks > 1:
        raise MtlError(
            f"switching: this rate adapts from block to block, but the run's {plan.steps} steps are planned as one: "
            f"take a smaller switching.block (found {plan.block}), or an order that does not plan the whole run at once"
        )


def _check_features(config: Config, module: MultiTaskModule, announced: Mapping[str, Announced]) -> None:
    """`gradients=features` compares gradients at the same features: the tasks should read the same inputs."""
    apart = len({id(task.inputs) for task in announced.values()}) > 1
    if module.weighting.needs_gramian and config["gradients"] == "features" and apart:
        raise MtlError(
            "gradients=features needs tasks that share all their rows and their prompt; "
            f"take gradients=shared for {', '.join(announced)} with this prompt"
        )


def _check_places(module: MultiTaskModule, announced: Mapping[str, Announced], prompt: Prompt) -> None:
    """The trunk should have positions for the longest input with its prompt."""
    places, most = module.model.trunk.max_length, 0
    for name, task in announced.items():
        most = max(most, int(task.inputs.lengths.max()) + prompt.virtual(name))
    if places is not None and places < most:
        raise MtlError(
            f"trunk: max_length should be at least the longest input with its prompt, {most}. Found {places}"
        )


def _check_pooling(config: Config, module: MultiTaskModule, announced: Mapping[str, Announced], prompt: Prompt) -> None:
    """Learned vectors that no head would hear of: their gradient is 0. A task's rows are all announced alike."""
    model = module.model
    if config["trunk"].get("pooling") != "first" or model.says_words or not isinstance(prompt, Inserted):
        return
    for name, task in announced.items():
        row = collate({name: task.labelled.rows["train"][:1]}, {name: task})
        if not model.per_token[name] and prompt.unread(model.trunk, row).any():
            raise MtlError(
                f"trunk: pooling should be last, mean or max: task {name}'s prompt stands behind the first token, and "
                "in a decoder that one knows nothing of it. Found 'first'"
            )
