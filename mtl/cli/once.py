"""One run, from a resolved configuration to a finished record."""

import logging
import shlex
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from mtl.cli import prompt_file
from mtl.cli.build import Run, brought_keys, build, make_specs
from mtl.cli.checks import check
from mtl.cli.describe import data_report, examples, flat, run_name, say, tags
from mtl.cli.identity import effective, run_key
from mtl.cli.instrument import look_at_gradients, make_probe
from mtl.cli.processes import check_processes, company, strategy_of
from mtl.cli.singles import tell_baselines
from mtl.cli.sweep import DONE, KNOWN, is_watched, parent_of
from mtl.cli.validations import Validations
from mtl.errors import MtlError
from mtl.tracking.baselines import known_baselines, run_delta_m
from mtl.tracking.callback import Record
from mtl.tracking.earlier import at_work, earlier_run, end_abandoned, join_sweep
from mtl.tracking.environment import git_state, packages
from mtl.tracking.model import record_model, register
from mtl.tracking.pending import sync_before
from mtl.tracking.recorder import Recorder
from mtl.tracking.store import open_or_spool, tracking_uri
from mtl.training.budget import Meter
from mtl.training.early_stop import EarlyStop
from mtl.training.feedback import TellPlan
from mtl.training.latest import Latest
from mtl.training.loaders import EvaluationLoader
from mtl.training.predictions import Predictions
from mtl.training.progress import Progress

Config = Mapping[str, Any]
LATEST = "latest"


def run_once(
    config: Config,
    chosen: Mapping[str, str],
    folder: Path,
    sweep: Path | None,
    validations: Validations,
    words: Sequence[str] = (),
) -> str:
    """Build, train, test, record; how it ended. What the user got wrong is found before the run is in the record.

    Args:
        config: resolved, as plain data.
        chosen: option of each config group.
        folder: for files of the run.
        sweep: folder of the sweep that the run belongs to.
        validations: is told of each validation, and keeps them.
        words: the overrides that made the configuration, recorded as the command that repeats the run.
    """
    config = effective(config)
    check(config)
    settle(config)
    tracking = config["tracking"]
    known = parent_of(sweep) is not None
    store = open_or_spool(tracking_uri(tracking["uri"]), tracking["experiment"], known)
    name = run_name(config, chosen)
    specs = make_specs(config)
    key = run_key(config, [*(spec.source.key for spec in specs.values()), *brought_keys(config)])
    if sweep is None:
        sync_before(store)
        end_abandoned(store)
    before = None if config["again"] else earlier_run(store, key)
    if before and before.finished:
        join_sweep(store, before, parent_of(sweep))
        print(
            f"{name}: in the record already as run {before.run_id or before.folder} (again=true repeats it)", flush=True
        )
        return KNOWN
    folder = (before.folder if before else folder).resolve()
    if before is None:  # the folder may have been another run's
        (folder / "checkpoints" / f"{LATEST}.ckpt").unlink(missing_ok=True)
    run = build(config, specs)
    check_processes(config, run)
    tell_baselines(run, store)
    recorder = Recorder(
        store,
        name,
        tags(config, chosen, run, key) | {"mtl.folder": str(folder), "mtl.overrides": shlex.join(words)[:5000]},
        parent_of(sweep),
        tracking["system_every"],
        goes_on=before.run_id if before else "",
        folder=folder,
        patience=tracking["patience"],
    )
    predictions = Predictions(folder / "predictions")
    look_at_gradients(config, run)
    told = [TellPlan(run.plan)] if run.plan.rate.adaptive else []
    seen = watching(run)
    record = Record(recorder, tracking["every"], seen)
    callbacks: list[Callback] = [*make_probe(config, run, recorder), *told, *seen, record, predictions, validations]
    if config["trainer"]["progress"] and not is_watched(sweep):
        callbacks.append(Progress(name, run.plan.steps))
    trainer = make_trainer(config, run.plan.steps, callbacks, folder)
    began = time.perf_counter()
    with at_work(folder), recorder:
        _describe(recorder, config, run)
        with company(config, folder):
            checkpoint = fit(config, run, trainer, folder, validations)
            recorder.text(run.meter.page(), "budget.md")
            trainer.test(run.module, EvaluationLoader(run.tasks, "test"), verbose=False)
        if tracking["model"]:
            record_model(recorder, checkpoint, examples(run))
        if prompt_file.holds_all(run.module.model):
            prompt_file.write(folder / prompt_file.NAME, run.module.model, run.module.payload)
            recorder.artifact(folder / prompt_file.NAME)
        for file in predictions.files:
            recorder.artifact(file, "predictions")
        scores = _scores(config, run, trainer, recorder)
    if isinstance(tracking["model"], str) and recorder.run_id:
        _register(store.uri, recorder.run_id, tracking["model"])
    said = ", ".join(f"{task} {run.module.tasks[task].metric} {value:.4f}" for task, value in scores.items())
    print(
        f"{name}: {said}  ({time.perf_counter() - began:.0f} s, run {recorder.run_id or 'not delivered yet'})",
        flush=True,
    )
    return DONE


def _register(uri: str, run_id: str, name: str) -> None:
    """Enter the model in the registry; a store that can't do it now costs no run."""
    try:
        say(f"run {run_id} is models:/{name}/{register(uri, run_id, name)}")
    except MtlError as error:
        say(f"{error}; `mtl register {run_id} {name}` does it later")


def settle(config: Config) -> None:
    """Seed and threads, and silence about what is on purpose."""
    if config["trainer"]["threads"] is not None:
        torch.set_num_threads(config["trainer"]["threads"])
    # filling fresh memory only reveals reads of unwritten memory, and costs 5 % of a step
    torch.utils.deterministic.fill_uninitialized_memory = False  # ty: ignore[missing-attribute]
    for name in ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning_fabric", "matplotlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")  # a frozen trunk
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # torchmetrics does that itself
    warnings.filterwarnings("ignore", category=FutureWarning, module="pytorch_lightning")
    pl.seed_everything(config["seed"], workers=True, verbose=False)


def watching(run: Run) -> list[Meter | EarlyStop]:
    """What counts what a run uses, and may end it."""
    return [run.meter, *([run.early_stop] if run.early_stop else [])]


def make_trainer(
    config: Config, steps: int | None, callbacks: Sequence[Callback], folder: Path, rank: int = 0
) -> pl.Trainer:
    """Lightning's trainer for one run of `steps` steps, if they are known; what it refuses becomes one line."""
    options, every = config["trainer"], config["eval_every"]
    checkpoints = folder / "checkpoints"
    best = ModelCheckpoint(checkpoints, "best", monitor="val/score", mode="max", enable_version_counter=False)
    latest = Latest(checkpoints / f"{LATEST}.ckpt", config["checkpoint_every"])
    kept = [best, latest] if config["selection"] == "best" else [latest]
    try:
        return pl.Trainer(
            accelerator=options["accelerator"],
            devices=options["devices"],
            strategy=strategy_of(options["devices"], rank),
            precision=options["precision"],
            gradient_clip_val=options["gradient_clip_val"],
            deterministic="warn" if options["deterministic"] else False,
            max_steps=-1 if steps is None else steps,
            max_epochs=1,
            val_check_interval=every if steps is None else min(every, steps),
            num_sanity_val_steps=0,
            logger=False,
            callbacks=[*callbacks, *kept],
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=str(folder),
        )
    except (ValueError, TypeError, MisconfigurationException) as error:
        raise MtlError(f"trainer: {' '.join(str(error).split())}") from error


def _describe(recorder: Recorder, config: Config, run: Run) -> None:
    """All that is known before training: configuration, data, environment."""
    recorder.params(flat(config))
    recorder.text(OmegaConf.to_yaml(OmegaConf.create(dict(config))), "config.yaml")
    recorder.text(packages(), "packages.txt")
    git_tags, diff = git_state(Path.cwd())
    recorder.tags(git_tags)
    if diff:
        recorder.text(diff, "git.diff")
    report, sizes, remarks = data_report(run)
    for remark in remarks:
        say(remark)
    recorder.text(report, "data.md")
    recorder.metrics(sizes, 0)
    for task, announced in run.tasks.items():
        corpus = announced.labelled.corpus
        recorder.dataset(task, corpus.digest, "train/val/test", f"{len(corpus)} rows")


def fit(config: Config, run: Run, trainer: pl.Trainer, folder: Path, validations: Validations) -> Path:
    """Fit, and put the selected weights into the module; the checkpoint that holds them."""
    validation = EvaluationLoader(run.tasks, "val")
    try:
        trainer.fit(run.module, run.loader, validation, ckpt_path=from_latest(folder, run.plan.steps))
    except SystemExit:
        if trainer.interrupted:  # Lightning answers Ctrl-C by leaving with code 1
            raise KeyboardInterrupt from None
        raise
    if not validations.history or validations.history[-1][0] != trainer.global_step:
        trainer.validate(run.module, validation, verbose=False)
    if trainer.is_global_zero:
        (folder / "checkpoints" / f"{LATEST}.ckpt").unlink(missing_ok=True)
    checkpoint = folder / "checkpoints" / f"{config['selection']}.ckpt"
    if config["selection"] == "last":
        trainer.save_checkpoint(checkpoint)
    else:
        run.module.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    return checkpoint


def from_latest(folder: Path, steps: int | None) -> Path | None:
    """The checkpoint to go on from, where an earlier process left one."""
    latest = folder / "checkpoints" / f"{LATEST}.ckpt"
    if not latest.exists():
        return None
    of = "" if steps is None else f" of {steps}"
    say(f"going on from step {torch.load(latest, weights_only=True)['global_step']}{of}")
    return latest


def _scores(config: Config, run: Run, trainer: pl.Trainer, recorder: Recorder) -> dict[str, float]:
    """The primary test score of each task; records Delta_m where every task has its single-task run."""
    tasks = run.module.tasks
    scores = {name: float(trainer.callback_metrics[f"test/{name}/{task.metric}"]) for name, task in tasks.items()}
    if len(tasks) > 1:
        metrics = {name: task.metric for name, task in tasks.items()}
        baselines = known_baselines(recorder.store, run.baseline_keys, metrics)
        gain = run_delta_m(scores, baselines, {name: task.higher_is_better for name, task in tasks.items()})
        if gain is not None:
            recorder.metrics({"test/delta_m": gain}, trainer.global_step)
    return scores
