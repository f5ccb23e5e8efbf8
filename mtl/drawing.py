"""`figure` for notebooks: draws from a frame of runs, and finds their curves in the record by itself."""

from functools import partial
from typing import TYPE_CHECKING, Any

from mtl.reporting import figures

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def figure(kind: str, runs: "pd.DataFrame", **options: Any) -> "Figure":
    """One figure of the runs; options as in `mtl.reporting.figures.figure`.

    Curves are read from the store that `runs.attrs["uri"]` names, else from `MLFLOW_TRACKING_URI` or `mlflow.db` here.
    """
    from mtl.tracking.history import read_history
    from mtl.tracking.store import tracking_uri

    options.setdefault("history", partial(read_history, tracking_uri(runs.attrs.get("uri"))))
    return figures.figure(kind, runs, **options)
