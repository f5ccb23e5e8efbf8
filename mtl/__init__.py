"""A laboratory for multi-task learning: prompts, switching, weighting, and the record of each.

For notebooks: `train` does what `mtl train` does, `runs` reads an experiment, `history` its curves, `Table.from_runs`
makes its table, `compare` its paired tests, `figure` its pictures. For code of your own: `Weighting` and its `Signals`,
`Transform`, `Prompt`, `Trunk`, `Plan`, `Rate`. See docs/api.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtl.cli.call import train
    from mtl.drawing import figure
    from mtl.errors import MtlError
    from mtl.model.base import Trunk
    from mtl.prompts.base import Prompt
    from mtl.reporting.compare import compare
    from mtl.reporting.table import Table
    from mtl.strategies.switching.plan import Plan
    from mtl.strategies.switching.rate.base import Rate
    from mtl.strategies.transform.base import Transform
    from mtl.strategies.weighting.base import Signals, Weighting
    from mtl.tracking.history import history
    from mtl.tracking.runs import runs

__version__ = "0.1.0"
__all__ = [
    "MtlError",
    "Plan",
    "Prompt",
    "Rate",
    "Signals",
    "Table",
    "Transform",
    "Trunk",
    "Weighting",
    "compare",
    "figure",
    "history",
    "runs",
    "train",
]

_HOME = {
    "train": "mtl.cli.call",
    "runs": "mtl.tracking.runs",
    "history": "mtl.tracking.history",
    "Table": "mtl.reporting.table",
    "compare": "mtl.reporting.compare",
    "figure": "mtl.drawing",
    "Weighting": "mtl.strategies.weighting.base",
    "Signals": "mtl.strategies.weighting.base",
    "Transform": "mtl.strategies.transform.base",
    "Prompt": "mtl.prompts.base",
    "Trunk": "mtl.model.base",
    "Plan": "mtl.strategies.switching.plan",
    "Rate": "mtl.strategies.switching.rate.base",
    "MtlError": "mtl.errors",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then (PEP 562): `import mtl` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module 'mtl' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
