"""`trunk.cache`: whether, where and of what a run keeps what a frozen trunk, or its frozen part, makes of texts."""

import contextlib
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mtl.cli.describe import say
from mtl.data.batch import Announced
from mtl.data.inputs import Inputs
from mtl.data.users_cache import users_cache
from mtl.errors import MtlError
from mtl.model.cache import LIKE, Place, Reader, Texts, What, look_up, looking_up
from mtl.model.multitask import MultiTaskModel
from mtl.model.pretrained.trunk import Pretrained

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def cache_trunk(
    config: Mapping[str, Any], digest: str, model: MultiTaskModel, tasks: Mapping[str, Announced]
) -> MultiTaskModel:
    """The model with what is frozen of its trunk looked up, where `trunk.cache` asks for it.

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
    _check(config, model)
    trunk: Any = model.trunk
    what = what_of(model)
    device, precision = device_of(config["trainer"]["accelerator"]), config["trainer"]["precision"]
    reader = Reader(trunk, what, device, AUTOCAST[precision])
    kept = {"texts": trunk.pooling, "states": f"states {trunk.train_from}"}.get(what, what)
    versions = [torch.__version__, version("transformers")]
    key = [digest, str(trunk.backbone.dtype), trunk.causal, kept, precision, device, *versions]
    name = re.sub(r"[^A-Za-z0-9]+", "-", trunk.name).strip("-")[-40:]
    places: dict[bytes, Place] = {}
    for texts in texts_of(tasks):
        places |= look_up(folder, name, key, texts, reader, say)
    trunk.cpu()
    model.trunk = looking_up(reader, places)
    if what == "states":
        _check_parts(trunk)
    return model


def what_of(model: MultiTaskModel) -> What:
    """What a run of this model needs of each text."""
    if model.prompt is not None:
        return "keys"
    if getattr(model.trunk, "train_from", None) is not None:
        return "states"
    return "tokens" if model.reads_tokens else "texts"


def device_of(accelerator: str) -> str:
    """Where Lightning will train: a CUDA device where there is one; other devices read the texts on the CPU."""
    return "cuda" if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available() else "cpu"


def folder_of(asked: Any) -> Path | None:
    """`false`: none; `true`: the user's own; else the folder that is named."""
    if asked is False or asked is None:
        return None
    if asked is True:
        return users_cache() / "trunk"
    if not isinstance(asked, str) or not asked:
        raise MtlError(f"trunk.cache should be true, false or a folder. Found {asked!r}")
    folder = Path(asked).expanduser()
    if folder.exists() and not folder.is_dir():
        raise MtlError(f"trunk.cache should be true, false or a folder. Found the file {asked}")
    return folder.resolve()


def _check(config: Mapping[str, Any], model: MultiTaskModel) -> None:
    trunk, found = config["trunk"], f"Found {config['trunk']['cache']!r}"
    if "tuning" not in trunk:
        raise MtlError("trunk.cache needs a pretrained trunk: minilm, hf_encoder or hf_decoder")
    start = trunk.get("train_from")
    if trunk["tuning"] != "frozen" and start is None:
        raise MtlError(f"trunk.cache needs trunk.tuning=frozen, or trunk.train_from=LAYER. Found '{trunk['tuning']}'")
    for part, what in {"cloze": "head=cloze adds words", "generation": "head=generation adds words"}.items():
        if getattr(model, part, None) is not None:
            raise MtlError(f"trunk.cache should be false: {what}. {found}")
    behind = getattr(model.prompt, "slot", None) == "end" and model.trunk.causal and model.trunk.prefix_shape()
    if model.prompt is not None and not (behind and start is None):
        raise MtlError(
            "trunk.cache should be false: a learned prompt changes what the trunk reads, unless it stands behind the "
            f"text (prompt.slot=end) in a frozen decoder. {found}"
        )
    if (start is not None or model.prompt is not None) and trunk["gradient_checkpointing"]:
        part = "trunk.train_from" if model.prompt is None else "a learned prompt"
        raise MtlError(f"trunk.cache with {part} needs trunk.gradient_checkpointing=false. Found true")
    if config["trainer"]["precision"] not in AUTOCAST:
        precision = config["trainer"]["precision"]
        raise MtlError(f"trunk.cache needs trainer.precision to be {', '.join(AUTOCAST)}. Found '{precision}'")


@torch.no_grad()
def _check_parts(trunk: Pretrained) -> None:
    """MtlError where the two parts of a model, one after the other, are not the whole."""
    ids, lengths = torch.arange(4)[None], torch.tensor([4])
    training, parts = trunk.training, None
    whole = trunk.eval()(ids, lengths)
    with contextlib.suppress(AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        parts = trunk.above(trunk.below(ids, lengths), lengths)
    trunk.train(training)
    if parts is None or not torch.allclose(parts, whole, rtol=LIKE, atol=LIKE * float(whole.abs().mean())):
        raise MtlError(f"trunk.cache should be false: {trunk.name} can't be begun at layer {trunk.train_from}")


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
