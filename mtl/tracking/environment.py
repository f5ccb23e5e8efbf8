"""What a run was made with: commit, changes not committed, package versions, machine."""

import platform
import subprocess
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import mtl


@cache
def git_state(folder: Path) -> tuple[dict[str, str], str]:
    """Tags of the commit that `folder` is at, and the changes since as a diff; empty outside a repository.

    A checkout of mtl itself is asked before `folder`: the code that ran is there.
    """

    def git(*words: str) -> str:
        found = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False, timeout=20
        )
        return found.stdout.strip() if found.returncode == 0 else ""

    try:
        code = Path(mtl.__file__).parent
        if git("-C", str(code), "ls-files", "__init__.py"):
            folder = code
        commit = git("rev-parse", "HEAD")
        if not commit:
            return {}, ""
        diff = git("diff", "HEAD")
    except (OSError, subprocess.TimeoutExpired):
        return {}, ""
    dirty = str(bool(git("status", "--porcelain"))).lower()
    return {"mtl.git_commit": commit, "mlflow.source.git.commit": commit, "mtl.git_dirty": dirty}, diff


@cache
def packages() -> str:
    """`name==version` of everything installed, as a constraints file."""
    found = {f"{d.metadata['Name']}=={d.version}" for d in distributions() if d.metadata["Name"]}
    return (
        f"# Python {platform.python_version()}, {platform.platform()}\n"
        + "\n".join(sorted(found, key=str.lower))
        + "\n"
    )
