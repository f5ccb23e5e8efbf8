"""The tokenizer that a pretrained trunk brings, as the encoder of a run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mtl.data.pretrained import digest, locate, longest_input
from mtl.data.text import separator
from mtl.errors import MtlError

MASK = "{mask}"
"""Stands for the model's own mask in a prompt, whatever its name."""


class PretrainedTokenizer:
    """A fast tokenizer of the Hugging Face format. Texts are cut as their words stand: `[SEP]` in a review is five
    characters and no border. In a prompt it is the special token, so that a phrase can hold a mask.

    Args:
        name: of the model: a folder, `package:MODULE/FOLDER`, or `owner/name` on the hub.
        revision: of the hub.
        trust_remote_code: run the model's own Python files.
        unit: what a token is where a tagging task is asked about a plain text.
    """

    length: ClassVar[int | None] = None

    def __init__(
        self,
        name: str | None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        unit: str = "words",
    ) -> None:
        if unit not in ("characters", "words"):
            raise MtlError(f"unit should be characters or words. Found '{unit}'")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # loaders and launchers fork
        folder = locate(name, revision, trust_remote_code)
        self.name, self.revision, self.unit, self.digest = name, revision, unit, digest(folder)
        self.trust_remote_code = trust_remote_code
        found = _load(folder, str(name), trust_remote_code)
        self._tokenizer = found.backend_tokenizer
        self._tokenizer.no_truncation()  # a tokenizer.json may hold both
        self._tokenizer.no_padding()
        special = [found.pad_token_id, found.unk_token_id, found.eos_token_id]
        self.padding: int = next((token for token in special if token is not None), 0)
        self.unknown: int | None = found.unk_token_id
        self.mask: int | None = found.mask_token_id
        self.mask_text: str | None = found.mask_token
        self.stop: int | None = found.eos_token_id
        self.size: int = len(found)
        self.limit: int | None = longest_input(folder)
        self.start, self.end = self._ends()
        self._known: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return self.size

    def border(self, before: str, text: str) -> tuple[str, str]:
        """A space between prompt and text belongs to the text: byte-level tokenizers write it into the next word."""
        kept = before.rstrip()
        return kept, before[len(kept) :] + text

    def encode(self, text: str) -> np.ndarray:
        """The ids of the text's pieces, without special tokens (int32)."""
        self._tokenizer.encode_special_tokens = True
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return np.array(ids or [self.padding if self.unknown is None else self.unknown], dtype=np.int32)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special tokens by their names."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def encode_prompt(self, text: str) -> np.ndarray:
        """The ids of a prompt's words; special tokens are known by their names, the mask as `{mask}` (int32)."""
        self._tokenizer.encode_special_tokens = False
        text = text.replace(MASK, self.mask_text or MASK)
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int32)

    def encode_tokens(self, tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of the pieces of each token, and where each token's first piece stands.

        No piece reaches over two tokens, so that every trunk is judged by the same tokens. Tokens with spaces between
        them are cut with the space before them.
        """
        between = separator(tokens)
        cut = [self._piece(between + token if place else token) for place, token in enumerate(tokens)]
        ids = np.concatenate(cut) if cut else np.zeros(0, np.int32)
        return ids, np.cumsum([0, *map(len, cut[:-1])], dtype=np.int32)[: len(tokens)]

    def state(self) -> dict[str, Any]:
        """The model's name and what was in it; never the tokenizer itself."""
        return {
            "pretrained": self.name,
            "revision": self.revision,
            "trust_remote_code": self.trust_remote_code,
            "unit": self.unit,
            "digest": self.digest,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "PretrainedTokenizer":
        """The tokenizer that `state` came from; MtlError if another model now has the name."""
        found = cls(state["pretrained"], state["revision"], state["trust_remote_code"], state["unit"])
        if found.digest != state["digest"]:
            raise MtlError(
                f"the run was trained on {state['pretrained']} with the digest {state['digest']}. Found {found.digest}"
            )
        return found

    def _piece(self, token: str) -> np.ndarray:
        if token not in self._known:
            self._known[token] = self.encode(token)
        return self._known[token]

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The special tokens that the model was trained to see before and after a text."""
        found = self._tokenizer.encode("a")
        own = [place for place, special in enumerate(found.special_tokens_mask) if not special]
        ids = np.array(found.ids, dtype=np.int32)
        return ids[: own[0]], ids[own[-1] + 1 :]


def _load(folder: Path, name: str, remote_code: bool) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise MtlError("the package transformers is not installed; pip install 'mtl[llm]'") from None
    try:
        found: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=remote_code, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError, AttributeError) as error:
        raise MtlError(f"the tokenizer of {name} can't be loaded: {' '.join(str(error).split()):.200}") from None
    if not found.is_fast:
        raise MtlError(f"{name} should have a fast tokenizer (tokenizer.json). Found {type(found).__name__}")
    return found
