"""Bytes that aren't UTF-8, found again in decoded text."""

import re
from collections.abc import Iterable

UNDECODED = re.compile("[\udc80-\udcff]")


def not_utf8(texts: Iterable[str]) -> str | None:
    """What to tell the user where some text holds an undecoded byte, else `None`."""
    for text in texts:
        if found := UNDECODED.search(text):
            return f"the byte 0x{ord(found[0]) - 0xDC00:02x} is not UTF-8; save the file as UTF-8"
    return None
