"""`mtl train`: one run, or the jobs of a sweep, from configuration to record."""

import logging
import os
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.cli.conf import conf_dir, with_files
from mtl.errors import MtlError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mtl.cli.build import Run
    from mtl.tracking.recorder import Recorder


def train(overrides: Sequence[str]) -> int:
    """Hand the overrides to Hydra, which composes the configuration and calls `job` for it, or for each job of a sweep."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from mtl.cli.sweep import closing

    full = bool(os.environ.get("HYDRA_FULL_ERROR"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # we show errors ourselves, in one line
    with with_files(overrides) as words, closing():
        sys.argv = ["mtl train", *words]
        try:
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)()
        except (HydraException, OmegaConfBaseException) as error:
            if full:
                raise
            cause = f": {error.__cause__}" if isinstance(error.__cause__, OmegaConfBaseException) else ""
            raise MtlError(_lines(f"{error}{cause}")) from error
    return 0


def _lines(message: str) -> str:
    """The message without empty lines and without Hydra's search path."""
    kept = [line.rstrip() for line in message.splitlines() if line.strip()]
    return "\n".join(line for line in kept if not line.lstrip().startswith(("provider=", "Config search path")))


def job(config: "DictConfig") -> None:
    """Train, test and record one run."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(config, resolve=True)
    settings = HydraConfig.get()
    try:
        run_once(plain, dict(settings.runtime.choices), Path(settings.runtime.output_dir), sweep_folder(settings))
    except Exception as error:
        if "num" in settings.job and settings.job.num is not None:
            print(f"mtl: job {settings.job.num} failed: {error}", file=sys.stderr)
        raise


def sweep_folder(settings: Any) -> Path | None:
    """The folder of the sweep that this job belongs to."""
    return Path(settings.sweep.dir) if str(settings.mode).endswith("MULTIRUN") else None


def run_once(config: Mapping[str, Any], chosen: Mapping[str, str], folder: Path, sweep: Path | None) -> None:
    """One run from a resolved configuration: build, train, test, record."""
    _settle(config)
    import pytorch_lightning as pl

    from mtl.cli.build import build
    from mtl.cli.describe import run_name, tags
    from mtl.cli.sweep import parent_of
    from mtl.tracking.recorder import Recorder
    from mtl.tracking.store import open_store, tracking_uri

    tracking = config["tracking"]
    store = open_store(tracking_uri(tracking["uri"]), tracking["experiment"])
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    run = build(config)
    name = run_name(config, chosen)
    recorder = Recorder(store, name, tags(config, chosen, run), parent_of(sweep), tracking["system_every"])
    began = time.perf_counter()
    with recorder:
        _describe(recorder, config, run)
        scores = _fit(config, run, recorder, folder, name)
    primary = ", ".join(f"{task} {metric} {value:.4f}" for (task, metric), value in scores.items())
    print(f"{name}: {primary}  ({time.perf_counter() - began:.0f} s, run {recorder.run_id})", flush=True)


def _settle(config: Mapping[str, Any]) -> None:
    """Threads, and silence about what is on purpose."""
    import pytorch_lightning  # noqa: F401  (it sets its loggers' levels when imported)
    import torch

    if config["trainer"]["threads"] is not None:
        torch.set_num_threads(config["trainer"]["threads"])
    for name in ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning_fabric", "matplotlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", category=FutureWarning, module="pytorch_lightning")


def _describe(recorder: "Recorder", config: Mapping[str, Any], run: "Run") -> None:
    """All that is known before training: configuration, data, environment."""
    from omegaconf import OmegaConf

    from mtl.cli.describe import data_report, flat
    from mtl.tracking.environment import git_state, packages

    recorder.params(flat(config))
    recorder.text(OmegaConf.to_yaml(OmegaConf.create(dict(config))), "config.yaml")
    recorder.text(packages(), "packages.txt")
    git_tags, diff = git_state(Path.cwd())
    if git_tags:
        recorder.tags(git_tags)
    if diff:
        recorder.text(diff, "git.diff")
    report, sizes = data_report(run)
    recorder.text(report, "data.md")
    recorder.metrics(sizes, 0)
    for task, announced in run.tasks.items():
        corpus = announced.labelled.corpus
        recorder.dataset(task, corpus.digest, "train/val/test", f"{len(corpus)} rows")


def _fit(
    config: Mapping[str, Any], run: "Run", recorder: "Recorder", folder: Path, name: str
) -> dict[tuple[str, str], float]:
    """Train, select, test; the primary test score of each task."""
    import pytorch_lightning as pl
    import torch
    from pytorch_lightning.callbacks import Callback, ModelCheckpoint

    from mtl.tracking.baselines import baseline_scores, run_delta_m
    from mtl.tracking.callback import Record
    from mtl.training.loaders import EvaluationLoader
    from mtl.training.predictions import Predictions
    from mtl.training.progress import Progress

    options, steps = config["trainer"], config["steps"]
    every = min(config["eval_every"], steps)
    best = ModelCheckpoint(
        folder / "checkpoints", "best", monitor="val/score", mode="max", enable_version_counter=False
    )
    predictions = Predictions(folder / "predictions")
    callbacks: list[Callback] = [Record(recorder, config["tracking"]["every"]), predictions]
    callbacks += [best] if config["selection"] == "best" else []
    callbacks += [Progress(name, steps)] if options["progress"] else []
    trainer = pl.Trainer(
        accelerator=options["accelerator"],
        devices=options["devices"],
        precision=options["precision"],
        gradient_clip_val=options["gradient_clip_val"],
        deterministic="warn" if options["deterministic"] else False,
        max_steps=steps,
        max_epochs=1,
        val_check_interval=every,
        num_sanity_val_steps=0,
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=config["selection"] == "best",
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=str(folder),
    )
    validation = EvaluationLoader(run.tasks, "val")
    trainer.fit(run.module, run.loader, validation)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if steps % every:
        trainer.validate(run.module, validation, verbose=False)
    checkpoint = folder / "checkpoints" / f"{config['selection']}.ckpt"
    if config["selection"] == "last":
        trainer.save_checkpoint(checkpoint)
    else:
        run.module.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    trainer.test(run.module, EvaluationLoader(run.tasks, "test"), verbose=False)
    recorder.artifact(checkpoint, "checkpoints")
    for file in predictions.files:
        recorder.artifact(file, "predictions")
    tasks = run.module.tasks
    scores = {name: float(trainer.callback_metrics[f"test/{name}/{task.metric}"]) for name, task in tasks.items()}
    if config["switching"].get("task") is None and len(tasks) > 1:
        metrics = {name: task.metric for name, task in tasks.items()}
        baselines = baseline_scores(recorder.store, run.baseline_keys, metrics)
        gain = run_delta_m(scores, baselines, {name: task.higher_is_better for name, task in tasks.items()})
        if gain is not None:
            recorder.metrics({"test/delta_m": gain}, steps)
    return {(name, tasks[name].metric): value for name, value in scores.items()}
