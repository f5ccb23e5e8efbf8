"""What the text of a row may be: a string, or a list of tokens."""

import re
from collections.abc import Sequence
from typing import Any

CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
UNPAIRED = re.compile("[\ud800-\udfff]")
"""Half of a character: not Unicode text, and what a byte that isn't UTF-8 is decoded to (surrogateescape)."""


def separator(tokens: Sequence[str]) -> str:
    """What stands between tokens: nothing where each is one character or holds CJK, else a space."""
    return "" if all(len(token) == 1 or CJK.search(token) for token in tokens) else " "


def joined(tokens: Sequence[str]) -> str:
    """The tokens as one text."""
    return separator(tokens).join(tokens)


def text_of(value: Any) -> tuple[str, list[str] | None]:
    """The text, and its tokens where the value is a list of them; ValueError says what is wrong."""
    if isinstance(value, str):
        text, tokens = value, None
    elif isinstance(value, list | tuple) and all(isinstance(token, str) and token for token in value):
        text, tokens = joined(value), list(value)
    elif value is None:
        raise ValueError("is empty")
    else:
        raise ValueError(f"should be a text or a list of tokens. Found {value!r:.60}")
    if not text or text.isspace():
        raise ValueError("is empty")
    if UNPAIRED.search(text):
        raise ValueError("should be Unicode text. Found half of a surrogate pair")
    return text, tokens
