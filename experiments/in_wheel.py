"""Lets a wheel carry the studies, without their pictures, as `mtl/experiments`."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KINDS = ("README.md", "*.yaml", "*.csv", "*.py")


class Studies(BuildHookInterface):
    """Called by hatchling."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files; an editable installation finds them beside the package."""
        if version == "editable":
            return
        root = Path(self.root)
        files = (file for kind in KINDS for file in (root / "experiments").glob(f"*/{kind}"))
        build_data["force_include"] |= {str(file): f"mtl/{file.relative_to(root).as_posix()}" for file in files}
