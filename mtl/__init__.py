"""A laboratory for multi-task learning: prompts, switching, weighting, and the record of each.

For notebooks: `runs` reads an experiment, `Table.from_runs` makes its table, `compare` its paired tests, `figure` its
pictures.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtl.drawing import figure
    from mtl.reporting.compare import compare
    from mtl.reporting.table import Table
    from mtl.tracking.runs import runs

__version__ = "0.1.0"
__all__ = ["Table", "compare", "figure", "runs"]

_HOME = {
    "runs": "mtl.tracking.runs",
    "Table": "mtl.reporting.table",
    "compare": "mtl.reporting.compare",
    "figure": "mtl.drawing",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then (PEP 562): `import mtl` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module 'mtl' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
