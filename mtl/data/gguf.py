"""A decoder in one GGUF file, as llama.cpp keeps it: unpacked once into a folder of the Hugging Face format."""

import fcntl
import shutil
import sys
from pathlib import Path
from typing import Any

from mtl.data.users_cache import users_cache
from mtl.errors import MtlError

SUFFIX = ".gguf"


def cache() -> Path:
    """The folder of unpacked files."""
    return users_cache() / "gguf"


def unpack(file: Path, digest: str) -> Path:
    """The folder with the model's configuration, tokenizer and weights (float32, as exact as the file has them).

    transformers reads GGUF itself, but takes half a minute over 100 MB each time, and a second over the folder. One
    process at a time makes it, under another name, and renames it: a folder that is there is whole.

    Args:
        file: the model.
        digest: of the file; the folder's name.

    Raises:
        MtlError: the file holds no decoder that transformers knows, or the folder can't be written.
    """
    folder = cache() / digest
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                print(f"mtl: unpacking {file.name} into {folder}, once", file=sys.stderr, flush=True)
                part = folder.with_suffix(".part")
                shutil.rmtree(part, ignore_errors=True)
                _write(file, part)
                part.rename(folder)
    except OSError as error:
        raise MtlError(f"{file.name} can't be unpacked into {folder}: {error.strerror or error}") from None
    return folder


def _write(file: Path, folder: Path) -> None:
    try:
        import gguf  # noqa: F401  transformers needs it
        import transformers
        from safetensors.torch import save_file
        from transformers.utils import logging
    except ImportError:
        raise MtlError("the package gguf is not installed; pip install 'mtl[llm]'") from None
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    given: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    try:
        config = transformers.AutoConfig.from_pretrained(file.parent, **given)
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(file.parent, **given)
        auto: Any = transformers.AutoModelForCausalLM
        model, said = auto.from_pretrained(
            file.parent, config=config, dtype="float32", output_loading_info=True, **given
        )
    except (ValueError, KeyError, TypeError, IndexError, ImportError, AttributeError, RuntimeError, OSError) as error:
        raise MtlError(f"{file.name} can't be loaded: {' '.join(str(error).split()):.200}") from None
    if said["missing_keys"]:
        raise MtlError(f"{file.name} lacks weights, such as {min(said['missing_keys'])}")
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # tied weights come once; transformers itself refuses to save what it read from GGUF
    weights = {name: weight.detach().contiguous() for name, weight in model.named_parameters()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
