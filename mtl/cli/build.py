"""A configuration to everything that a run is made of."""

import contextlib
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mtl.cli.cached import cache_trunk
from mtl.cli.checks import check_built, check_images, check_plan
from mtl.cli.cloze import calibrate, make_cloze
from mtl.cli.generation import generates, make_generation, spoken, spoken_rows
from mtl.cli.identity import baseline_key, digest
from mtl.cli.instantiate import instantiate
from mtl.cli.length import make_budget, make_early_stop
from mtl.cli.tasks import make_spec
from mtl.data.batch import Announced
from mtl.data.encoder import Encoder
from mtl.data.inputs import Inputs
from mtl.data.pretrained import digest as model_digest
from mtl.data.pretrained import locate
from mtl.data.task import LabelledRows, Task, TaskSpec
from mtl.data.vocabulary import Vocabulary
from mtl.errors import MtlError
from mtl.model.multitask import MultiTaskModel
from mtl.model.prompt.base import Learned
from mtl.model.prompt.start import own_random
from mtl.prompts.announce import announced as announce_texts
from mtl.prompts.base import Prompt
from mtl.strategies.switching.plan import Plan
from mtl.strategies.transform.base import Transform
from mtl.strategies.transform.none import Identity
from mtl.strategies.weighting.adjusted import adjusted
from mtl.strategies.weighting.base import Weighting
from mtl.training.budget import Meter
from mtl.training.early_stop import EarlyStop
from mtl.training.loaders import StepLoader
from mtl.training.module import MakeOptimizer, MultiTaskModule

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
    check_plan(plan)
    payload = {
        "config": config,
        "vocabulary": vocabulary.state(),
        "tasks": [task.state() for task in tasks.values()],
        "prompt": prompt.state(),
    }
    kinds = {name: task.kind.name for name, task in tasks.items()}
    judged = spoken(tasks, config)
    announced = spoken_rows(announced, judged)
    brought = "".join(brought_keys(config))
    module = MultiTaskModule(
        cache_trunk(config, brought, make_model(config, tasks, vocabulary, prompt), announced),
        judged,
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
        calibrate(module.model, tasks, vocabulary, prompt, config["data"]["max_length"])
    check_built(config, module, announced, prompt, plan)
    keys = {name: baseline_key(config, name, reads_tokens(config), specs[name].source.key + brought) for name in tasks}
    loader = StepLoader(announced, plan, config["seed"], reads=module.model.places)
    meter = Meter(loader, budget, module.model.trunk)
    stop = make_early_stop(config, plan)
    return Run(announced, prompt, vocabulary, plan, module, loader, meter, stop, keys)


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
    """Labels, vocabulary (or what the trunk brings) and encoded inputs; the prompt is fitted.

    The last few stay in memory, since the jobs of a sweep that share tasks, prompt and `data` share them. They are
    found by that configuration and the keys of the rows: a file that changes is another source.
    """
    data, tasks = config["data"], [[name, config["tasks"][name], spec.source.key] for name, spec in specs.items()]
    key = digest([data, config["prompt"], tasks, config["trunk"].get("tokenizer"), brought_keys(config)])
    if key not in _prepared:
        loaded = {name: spec.load() for name, spec in specs.items()}
        check_images(config, loaded, prompt)
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
    """What the trunk brings, or else a vocabulary fitted on the training texts."""
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
    if node is None or "name" not in node:
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
    says = "words" in head
    generation = make_generation(config, tasks, vocabulary, prompt) if generates(config) else None
    cloze = make_cloze(config, tasks, vocabulary, prompt) if says and generation is None else None
    if says:
        node["language_model"] = True
    with own_random(seed, "trunk") if table else contextlib.nullcontext():
        trunk = instantiate("trunk", node, vocabulary_size=len(vocabulary), per_token=reads_tokens(config))
    if table:
        table.make(trunk, tasks, vocabulary, seed)
    condition = config["weighting"].get("condition", 0)
    model = MultiTaskModel(
        trunk, kinds, head.get("dropout", 0.0), condition, table, cloze, head.get("bias", False), generation
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
