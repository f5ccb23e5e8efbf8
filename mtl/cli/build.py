"""A configuration to everything that a run is made of."""

import contextlib
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, get_args

import torch

from mtl.cli.cached import cache_trunk
from mtl.cli.cloze import calibrate, make_cloze
from mtl.cli.identity import baseline_key, digest
from mtl.cli.instantiate import instantiate
from mtl.cli.tasks import make_spec
from mtl.data.batch import Announced
from mtl.data.encoder import Encoder
from mtl.data.inputs import Inputs
from mtl.data.pretrained import digest as model_digest
from mtl.data.pretrained import locate
from mtl.data.task import LabelledRows, Task, TaskSpec
from mtl.data.vocabulary import Vocabulary
from mtl.errors import MtlError, choices
from mtl.model.multitask import MultiTaskModel
from mtl.model.prompt.base import Learned
from mtl.model.prompt.start import own_random
from mtl.prompts.announce import announced as announce_texts
from mtl.prompts.base import Prompt
from mtl.strategies.switching.plan import Plan
from mtl.strategies.transform.base import Transform
from mtl.strategies.transform.none import Identity
from mtl.strategies.weighting.adjusted import Reduction, adjusted
from mtl.strategies.weighting.base import Weighting
from mtl.training.budget import Budget, Meter
from mtl.training.early_stop import EarlyStop
from mtl.training.gradients import Where
from mtl.training.loaders import StepLoader
from mtl.training.module import MakeOptimizer, MultiTaskModule
from mtl.training.soundness import OnNan

Config = Mapping[str, Any]
Prepared = tuple[Mapping[str, LabelledRows], Encoder, Mapping[str, Announced]]
PREPARED_SIZE = 4
_prepared: OrderedDict[str, tuple[*Prepared, Mapping[str, Any]]] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Run:
    """All parts of a run, ready to train."""

    tasks: Mapping[str, Announced]
    prompt: Prompt
    vocabulary: Encoder
    plan: Plan
    module: MultiTaskModule
    loader: StepLoader
    meter: Meter
    early_stop: EarlyStop | None
    baseline_keys: Mapping[str, str]


def active_tasks(config: Config) -> list[str]:
    """The tasks that train: all, or the one that `switching=single` names."""
    names = list(config["tasks"])
    if "task" not in config["switching"]:
        return names
    chosen = config["switching"]["task"] or (names[0] if len(names) == 1 else None)
    if chosen is None:
        raise MtlError(f"switching: `task` should say which of {', '.join(names)} is trained alone. Found none")
    if chosen not in names:
        raise MtlError(f"switching: `task` should be a task of the run: {', '.join(names)}. Found '{chosen}'")
    return [chosen]


def reads_tokens(config: Config) -> bool:
    """Whether a task of the configuration tags tokens, also one that `single` leaves out: baselines share the trunk."""
    return any(node.get("kind") == "tagging" for node in config["tasks"].values())


def make_specs(config: Config) -> dict[str, TaskSpec]:
    """The tasks that train, as their authors wrote them; no rows are read yet."""
    return {name: make_spec(name, config["tasks"][name]) for name in active_tasks(config)}


def build(config: Config, specs: Mapping[str, TaskSpec]) -> Run:
    """Read the data, fit what is fitted on the training splits, make model, weighting and plan.

    Args:
        config: the resolved configuration as plain data.
        specs: the tasks that train.
    """
    prompt: Prompt = instantiate("prompt", config["prompt"])
    prompt.check(config["tasks"])
    loaded, vocabulary, announced = prepare(config, specs, prompt)
    tasks = {name: rows.task for name, rows in loaded.items()}
    budget = make_budget(config)
    plan: Plan = instantiate(
        "switching",
        {field: value for field, value in config["switching"].items() if field != "task"},
        sizes={name: len(rows.rows["train"]) for name, rows in loaded.items()},
        batch_size=config["batch_size"],
        steps=int(budget.amount) if budget.unit == "steps" else None,
        rows=int(budget.amount) if budget.unit == "rows" else None,
        seed=config["seed"],
    )
    _check_plan(plan)
    payload = {
        "config": config,
        "vocabulary": vocabulary.state(),
        "tasks": [task.state() for task in tasks.values()],
        "prompt": prompt.state(),
    }
    kinds = {name: task.kind.name for name, task in tasks.items()}
    brought = "".join(brought_keys(config))
    module = MultiTaskModule(
        cache_trunk(config, brought, make_model(config, tasks, vocabulary, prompt), announced),
        tasks,
        make_weighting(config, kinds),
        make_optimizer(config),
        plan.steps,
        payload,
        config["gradients"],
        make_transform(config, kinds),
        config["weight_heads"],
        config["on_nan"],
        config["trainer"]["accumulate"],
    )
    if config["head"].get("calibrate"):
        calibrate(module.model, tasks, vocabulary, prompt)
    _check_trained(config, module)
    _check_features(config, module, announced)
    _check_places(module, announced, prompt)
    if plan.rate.needs_gramian and not module.weighting.needs_gramian:
        raise MtlError(
            "switching: this rate learns from task gradients: take a weighting that needs them, such as mgda"
        )
    keys = {name: baseline_key(config, name, reads_tokens(config), specs[name].source.key + brought) for name in tasks}
    loader = StepLoader(announced, plan, config["seed"])
    meter = Meter(loader, budget, module.model.trunk)
    stop = make_early_stop(config, plan)
    return Run(announced, prompt, vocabulary, plan, module, loader, meter, stop, keys)


def make_budget(config: Config) -> Budget:
    """The length of a run: its steps, or the one amount that is given in another unit; MtlError for two."""
    given: dict[Any, Any] = {unit: amount for unit, amount in config["budget"].items() if amount is not None}
    if len(given) > 1:
        raise MtlError(f"budget should be given in one unit. Found {choices(given).replace(' or ', ' and ')}")
    for unit, amount in given.items():
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount < float("inf"):
            raise MtlError(f"budget.{unit} should be a positive number. Found {amount!r}")
        return Budget(unit, amount)
    return Budget("steps", config["steps"])


def make_early_stop(config: Config, plan: Plan) -> EarlyStop | None:
    """Early stopping, where a patience is given; MtlError where no task could retire."""
    found = config["early_stop"]
    if found["patience"] is None and found["mean_patience"] is None:
        return None
    one_block = len(plan.sizes) > 1 and plan.steps is not None and plan.block >= plan.steps
    if found["patience"] is not None and one_block:
        raise MtlError(
            "early_stop.patience retires a task at the plan's next block, but the run's "
            f"{plan.steps} steps are planned as one: take a smaller switching.block, an order that does not plan the "
            "whole run at once, or early_stop.mean_patience"
        )
    return EarlyStop(plan, found["patience"], found["mean_patience"], found["least_gain"])


def make_weighting(config: Config, kinds: Mapping[str, str]) -> Weighting:
    """The weighting with its reduction and its interval."""
    weighting = instantiate("weighting", config["weighting"], tasks=kinds)
    try:
        return adjusted(weighting, config["reduction"], config["weigh_every"])
    except ValueError as error:
        raise MtlError(f"weighting: {error}") from error


def make_transform(config: Config, kinds: Mapping[str, str]) -> Transform | None:
    """What the losses become before they are weighed; `None` where they stay as they are."""
    transform: Transform = instantiate("transform", config["transform"], tasks=kinds)
    return None if isinstance(transform, Identity) else transform


def prepare(config: Config, specs: Mapping[str, TaskSpec], prompt: Prompt) -> Prepared:
    """Labels, vocabulary (or the tokenizer that the trunk brings) and encoded inputs; the prompt is fitted.

    The last few stay in memory, since the jobs of a sweep that share tasks, prompt and `data` share them. They are
    found by that configuration and the keys of the rows: a file that changes is another source.
    """
    data, tasks = config["data"], [[name, config["tasks"][name], spec.source.key] for name, spec in specs.items()]
    key = digest([data, config["prompt"], tasks, config["trunk"].get("tokenizer"), brought_keys(config)])
    if key not in _prepared:
        loaded = {name: spec.load() for name, spec in specs.items()}
        for rows in loaded.values():
            prompt.fit(rows.task, (rows.corpus.texts[row] for row in rows.rows["train"]))
        vocabulary = make_encoder(config, loaded, prompt)
        _prepared[key] = loaded, vocabulary, announce(loaded, prompt, vocabulary, data["max_length"]), prompt.state()
        if len(_prepared) > PREPARED_SIZE:
            _prepared.popitem(last=False)
    _prepared.move_to_end(key)
    loaded, vocabulary, announced, state = _prepared[key]
    prompt.load_state(state)
    return loaded, vocabulary, announced


def make_encoder(config: Config, loaded: Mapping[str, LabelledRows], prompt: Prompt) -> Encoder:
    """The tokenizer that the trunk brings, or else a vocabulary fitted on the training texts."""
    data = config["data"]
    if brought := config["trunk"].get("tokenizer"):
        encoder: Encoder = instantiate("trunk", brought)
        if encoder.limit is not None and data["max_length"] > encoder.limit:
            limit = encoder.limit
            raise MtlError(
                f"data.max_length should be at most {limit}, the positions of the trunk. Found {data['max_length']}"
            )
        return encoder
    return Vocabulary.fit(
        training_texts(loaded),
        data["unit"],
        min_count=data["min_count"],
        extra=[prompt.wording(rows.task) for rows in loaded.values()],
    )


def brought_keys(config: Config) -> list[str]:
    """What is in the pretrained model that the trunk names: its digest, or nothing for a trunk from scratch."""
    node = config["trunk"].get("tokenizer")
    if node is None:
        return []
    return [model_digest(locate(node["name"], node.get("revision"), node.get("trust_remote_code", False)))]


def make_optimizer(config: Config) -> MakeOptimizer:
    """Parameter groups to an optimiser; its options are tried out now, and not when training begins."""
    make = instantiate("optimizer", config["optimizer"])
    try:
        make([torch.nn.Parameter(torch.zeros(1))])
    except (TypeError, ValueError) as error:
        raise MtlError(f"optimizer: {error}") from error
    return make


def make_model(config: Config, tasks: Mapping[str, Task], vocabulary: Encoder, prompt: Prompt) -> MultiTaskModel:
    """Trunk, heads and the table of learned prompts, where the prompt is one.

    With such a table trunk, prompts and heads each start from a random state of their own: a task's do not depend on
    the other tasks of the run, and a frozen trunk can be made again from the seed.
    """
    table, seed = prompt if isinstance(prompt, Learned) else None, config["seed"]
    node = {field: value for field, value in config["trunk"].items() if field not in ("tokenizer", "cache")}
    head, kinds = config["head"], {name: task.kind for name, task in tasks.items()}
    cloze = make_cloze(config, tasks, vocabulary, prompt) if "words" in head else None
    if cloze is not None:
        node["language_model"] = True
    with own_random(seed, "trunk") if table else contextlib.nullcontext():
        trunk = instantiate("trunk", node, vocabulary_size=len(vocabulary), per_token=reads_tokens(config))
    if table:
        table.make(trunk, tasks, vocabulary, seed)
    condition = config["weighting"].get("condition", 0)
    model = MultiTaskModel(
        trunk, kinds, head.get("dropout", 0.0), condition, table, cloze, bias=head.get("bias", False)
    )
    for name, own in model.heads.items() if table else ():
        with own_random(seed, "head", name):
            own.apply(lambda module: module.reset_parameters() if isinstance(module, torch.nn.Linear) else None)
    return model


def training_texts(loaded: Mapping[str, LabelledRows]) -> list[str]:
    """The training texts of all tasks, each corpus once."""
    rows = {(id(part.corpus), int(row)): part.corpus for part in loaded.values() for row in part.rows["train"]}
    return [corpus.texts[row] for (_, row), corpus in rows.items()]


def announce(
    loaded: Mapping[str, LabelledRows], prompt: Prompt, vocabulary: Encoder, max_length: int
) -> dict[str, Announced]:
    """Each task's rows with its inputs; tasks that share rows and announcement share the inputs."""
    shared: dict[tuple[int, Hashable], Inputs] = {}
    announced = {}
    for name, rows in loaded.items():
        # not the corpus's key: on_error and split.column may leave other rows of the same files
        key = (id(rows.corpus), prompt.signature(rows.task))
        if key not in shared:
            corpus = rows.corpus
            shared[key] = announce_texts(prompt, rows.task, corpus.texts, corpus.tokens, vocabulary, max_length)
        announced[name] = Announced(rows, shared[key])
    return announced


WHOLE = {
    "steps": 1,
    "batch_size": 1,
    "eval_every": 1,
    "checkpoint_every": 1,
    "seed": 0,
    "tracking.every": 1,
    "trainer.accumulate": 1,
    "trainer.devices": 1,
    "trainer.threads": 1,
    "weigh_every": 1,
}
"""Fields that hold whole numbers, and the least of each."""


def check(config: Config) -> None:
    """Find wrong values that no constructor would see; MtlError names the field."""
    budget = make_budget(config)
    for field, least in WHOLE.items():
        value = reduce(lambda node, part: node[part], field.split("."), config)
        if value is None and (field == "trainer.threads" or (field == "steps" and budget.unit != "steps")):
            continue
        if not isinstance(value, int) or value < least:
            raise MtlError(f"{field} should be a whole number of at least {least}. Found {value!r}")
    if config["trainer"]["devices"] != 1:
        raise MtlError(
            "trainer.devices should be 1: `mtl train` uses one (several work in Python, see Processes in "
            f"docs/design.md). Found {config['trainer']['devices']}"
        )
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
            "nothing trains: the trunk is frozen and head=cloze says words; take trunk.tuning=lora, or head.bias=true"
        )
    each = config["optimizer"]["_target_"].endswith(".AdaTask")
    apart = each or module.weighting.needs_gramian or config["trainer"]["accumulate"] > 1
    if module.model.cloze is not None and apart and config["trunk"].get("tuning") == "full":
        raise MtlError(
            "head=cloze with trunk.tuning=full trains the embedding through the words too, which a weighting that "
            "takes gradients, optimizer=adatask and trainer.accumulate would not see; take trunk.tuning=lora"
        )
    if module.model.condition is not None and each:
        raise MtlError("optimizer=adatask would not train what tells the model a preference; take another for cosmos")
    if "_target_" in config["probe"]:
        _check_probe(config, module, each)


def _check_probe(config: Config, module: MultiTaskModule, each: bool) -> None:
    """What the instrument can't measure yet."""
    if any(amount is not None for amount in config["budget"].values()):
        raise MtlError("probe=switching plans its measurements over steps; take steps=N in place of a budget")
    if each:
        raise MtlError("probe=switching does not read the moments of optimizer=adatask; take adam, adamw or sgd")
    if module.model.condition is not None:
        raise MtlError("probe=switching can't tell switches from fresh preferences; take another weighting than cosmos")


def _check_plan(plan: Plan) -> None:
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
