"""A folder in peft's format: a learned prompt of one task, or the LoRA of a run, with the heads beside it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mtl.data.task import Task
from mtl.errors import MtlError
from mtl.model.multitask import MultiTaskModel
from mtl.model.pretrained.trunk import Pretrained
from mtl.model.prompt.inserted import Inserted
from mtl.model.prompt.prefix import Prefix

if TYPE_CHECKING:
    from peft import PeftConfig

Adapter = tuple["PeftConfig", Mapping[str, Tensor]]
"""adapter_config.json and adapter_model.safetensors."""


def write(folder: Path, model: MultiTaskModel, tasks: Mapping[str, Task], config: Mapping[str, Any]) -> list[Path]:
    """Write FOLDER/TASK for each task of a learned prompt (peft has one a folder), or FOLDER itself for LoRA.

    Beside peft's two files stand the heads as `heads.safetensors` (TASK.weight, TASK.bias; they read the pooled last
    hidden states of the text's own places), and `mtl.json`: the tasks, how texts are announced and pooled.

    Args:
        folder: made if it is not there.
        model: trained.
        tasks: of the model, as their authors wrote them.
        config: of the run.

    Returns:
        The folders for `peft.PeftModel.from_pretrained`.

    Raises:
        MtlError: peft has no such thing, or is not installed; nothing is written.
    """
    trunk = model.trunk
    if not isinstance(trunk, Pretrained):
        raise MtlError(f"peft adapts models of transformers. Found trunk {type(trunk).__name__.lower()}")
    if trunk.tuning == "full":
        raise MtlError("peft holds what was added to a model: the trunk itself was trained (trunk.tuning=full)")
    if model.condition is not None:
        raise MtlError("peft has no place for what tells the model a preference (weighting.condition)")
    if model.prompt is None and trunk.tuning == "frozen":
        raise MtlError("the run has neither a learned prompt nor LoRA: there is nothing that peft could load")
    if model.prompt is None:
        made = {folder: (_lora(trunk, config), list(tasks))}
    elif trunk.tuning == "lora":
        raise MtlError("peft holds a learned prompt or LoRA in a folder. Found both (trunk.tuning=lora)")
    else:
        made = {folder / name: (_prompt(model, trunk, name, config), [name]) for name in tasks}
    for path, (adapter, names) in made.items():
        _write(path, adapter, model, [tasks[name] for name in names], config)
    return list(made)


def _common(trunk: Pretrained, config: Mapping[str, Any]) -> dict[str, Any]:
    speaks = trunk.causal and trunk.answering is not None
    return {
        "task_type": "CAUSAL_LM" if speaks else "FEATURE_EXTRACTION",
        "base_model_name_or_path": trunk.name,
        "revision": config["trunk"].get("revision"),
        "inference_mode": True,
    }


def _prompt(model: MultiTaskModel, trunk: Pretrained, task: str, config: Mapping[str, Any]) -> Adapter:
    """A row of the table: vectors before the text, or keys and values of every layer."""
    try:
        from peft import PrefixTuningConfig, PromptTuningConfig
    except ImportError:
        raise MtlError("the package peft is not installed; pip install 'mtl[llm]'") from None

    table = model.prompt
    assert table is not None
    row, given = table.row(task), _common(trunk, config)
    if isinstance(table, Prefix):
        states = table.get_parameter(f"rows.{row}.states").detach()
        layers, _, heads, places, width = states.shape
        given |= {"num_layers": layers, "num_attention_heads": heads, "token_dim": heads * width}
        prefix = PrefixTuningConfig(num_virtual_tokens=places, num_transformer_submodules=1, **given)
        return prefix, {"prompt_embeddings": states.permute(3, 0, 1, 2, 4).flatten(1)}
    assert isinstance(table, Inserted)
    if table.slot != "start":
        raise MtlError(f"peft puts a prompt before everything else (slot=start). Found slot={table.slot}")
    vectors = table.vectors(row, None).detach()
    places, width = vectors.shape
    given |= {"num_layers": trunk.backbone.config.num_hidden_layers, "token_dim": width}
    given["num_attention_heads"] = trunk.backbone.config.num_attention_heads
    prompt = PromptTuningConfig(num_virtual_tokens=places, num_transformer_submodules=1, **given)
    return prompt, {"prompt_embeddings": vectors}


def _lora(trunk: Pretrained, config: Mapping[str, Any]) -> Adapter:
    """The adapters, by the names that they have in the model that peft wraps."""
    from peft import get_peft_model_state_dict

    given = _common(trunk, config)
    inside = f"{trunk.backbone.base_model_prefix}." if trunk.answering is not None else ""
    tensors = get_peft_model_state_dict(trunk.backbone)
    lora = replace(trunk.backbone.peft_config["default"], **given)
    return lora, {f"base_model.model.{inside}{name}": value for name, value in tensors.items()}


def _write(
    folder: Path, adapter: Adapter, model: MultiTaskModel, tasks: Sequence[Task], config: Mapping[str, Any]
) -> None:
    from safetensors.torch import save_file

    heads = {
        f"{task.name}.{name.rpartition('.')[2]}": value
        for task in tasks
        if task.name in model.heads
        for name, value in model.heads[task.name].state_dict().items()
    }
    text = config["prompt"].get("text", config["prompt"])
    about = {
        "tasks": [task.state() for task in tasks],
        "text": {name: value for name, value in text.items() if name != "_target_"} | {"prompt": text["_target_"]},
        "pooling": config["trunk"]["pooling"],
        "max_length": config["data"]["max_length"],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        adapter[0].save_pretrained(str(folder))
        for name, tensors in {"adapter_model": adapter[1], "heads": heads}.items():
            contiguous = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
            save_file(contiguous, folder / f"{name}.safetensors", {"format": "pt"})
        (folder / "mtl.json").write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise MtlError(f"output: {folder} cannot be written: {error.strerror}") from error
