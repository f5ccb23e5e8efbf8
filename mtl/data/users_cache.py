"""Where a user keeps what can be made again."""

import os
from pathlib import Path


def users_cache() -> Path:
    """The folder of mtl in there: `XDG_CACHE_HOME`, else ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mtl"
