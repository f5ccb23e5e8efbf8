"""`trunk.cache`: whether, where and of what a run keeps a frozen trunk's features."""

import os
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mtl.cli.describe import say
from mtl.data.batch import Announced
from mtl.data.inputs import Inputs
from mtl.errors import MtlError
from mtl.model.cache import Cached, Place, Reader, Texts, look_up
from mtl.model.multitask import MultiTaskModel

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def cache_trunk(
    config: Mapping[str, Any], digest: str, model: MultiTaskModel, tasks: Mapping[str, Announced]
) -> MultiTaskModel:
    """The model with its trunk's features looked up, where `trunk.cache` asks for it.

    There is one file for each set of inputs, so that tasks, jobs and single-task runs that announce the same texts in
    the same way share it.

    Args:
        config: of the run.
        digest: of the pretrained model's files.
        model: with the trunk as it is.
        tasks: rows with their inputs.
    """
    folder = folder_of(config["trunk"].get("cache", False))
    if folder is None:
        return model
    trunk: Any = model.trunk
    _check(config, model)
    device, precision = device_of(config["trainer"]["accelerator"]), config["trainer"]["precision"]
    reader = Reader(trunk, model.reads_tokens, device, AUTOCAST[precision])
    kept = "tokens" if model.reads_tokens else trunk.pooling
    versions = [torch.__version__, version("transformers")]
    key = [digest, str(trunk.backbone.dtype), trunk.causal, kept, precision, device, *versions]
    name = re.sub(r"[^A-Za-z0-9]+", "-", trunk.name).strip("-")[-40:]
    places: dict[bytes, Place] = {}
    for texts in texts_of(tasks):
        places |= look_up(folder, name, key, texts, reader, say)
    model.trunk = Cached(trunk.cpu(), model.reads_tokens, places)
    return model


def device_of(accelerator: str) -> str:
    """Where Lightning will train: a CUDA device where there is one; other devices read the texts on the CPU."""
    return "cuda" if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available() else "cpu"


def folder_of(asked: Any) -> Path | None:
    """`false`: none; `true`: the user's own; else the folder that is named."""
    if asked is False or asked is None:
        return None
    if asked is True:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mtl" / "trunk"
    if not isinstance(asked, str) or not asked:
        raise MtlError(f"trunk.cache should be true, false or a folder. Found {asked!r}")
    folder = Path(asked).expanduser()
    if folder.exists() and not folder.is_dir():
        raise MtlError(f"trunk.cache should be true, false or a folder. Found the file {asked}")
    return folder.resolve()


def _check(config: Mapping[str, Any], model: MultiTaskModel) -> None:
    if "tuning" not in config["trunk"]:
        raise MtlError("trunk.cache needs a pretrained trunk: minilm, hf_encoder or hf_decoder")
    if config["trunk"]["tuning"] != "frozen":
        raise MtlError(f"trunk.cache needs trunk.tuning=frozen. Found '{config['trunk']['tuning']}'")
    for part, what in {
        "prompt": "a learned prompt changes what the trunk reads",
        "cloze": "head=cloze adds words",
        "generation": "head=generation adds words",
    }.items():
        if getattr(model, part, None) is not None:
            raise MtlError(f"trunk.cache should be false: {what}. Found {config['trunk']['cache']!r}")
    if config["trainer"]["precision"] not in AUTOCAST:
        found = config["trainer"]["precision"]
        raise MtlError(f"trunk.cache needs trainer.precision to be {', '.join(AUTOCAST)}. Found '{found}'")


def texts_of(tasks: Mapping[str, Announced]) -> list[Texts]:
    """The texts of all splits, once for each object of inputs."""
    rows: dict[int, tuple[Inputs, set[int]]] = {}
    for task in tasks.values():
        _, wanted = rows.setdefault(id(task.inputs), (task.inputs, set()))
        wanted.update(row for split in task.labelled.rows.values() for row in split.tolist())
    return [
        Texts(inputs.ids[inputs.starts[row] : inputs.starts[row + 1]] for row in wanted)
        for inputs, wanted in rows.values()
    ]
