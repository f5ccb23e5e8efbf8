"""What MLflow calls to load a recorded model: the `loader_module` of its `MLmodel`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.cli.predict import load
from mtl.training.predictor import Predictor, tidy

if TYPE_CHECKING:
    import pandas as pd


class Served:
    """A frame of texts in, a frame of answers out, by the same code as `mtl predict`."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, frame: "pd.DataFrame", params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """The answers to column `text`, laid out by `mtl.training.predictor.tidy`.

        Args:
            frame: `text`, and where one task alone should answer its name in `task` (none, empty: all tasks).
            params: none are taken.
        """
        texts = frame["text"].tolist()
        named = frame["task"].tolist() if "task" in frame else [None] * len(frame)
        everything = list(self.predictor.tasks)
        asked = [[name] if isinstance(name, str) and name else everything for name in named]
        return tidy(texts, self.predictor.answer_each(texts, asked))


def _load_pyfunc(path: str) -> Served:
    """The model of the checkpoint at `path`: its weights alone are read, no pickled code and no training data."""
    return Served(load(Path(path)))
