"""What a model says of each row of the test split, kept as one Parquet file a task."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from mtl.data.batch import Batch
from mtl.data.kinds import Kind
from mtl.data.kinds.tagging import IGNORED
from mtl.training.loaders import EvaluationLoader


class Predictions(Callback):
    """Collects the answers of `trainer.test`; writes `<task>.parquet` with row, text, target, answer, probability."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[Path] = []
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int, *_: Any
    ) -> None:
        """Keep the answers of a batch."""
        loader = trainer.test_dataloaders
        assert isinstance(loader, EvaluationLoader)
        for name, rows in loader.plan[batch_idx].items():
            labelled = loader.tasks[name].labelled
            for row, output, target in zip(rows, outputs[name].cpu(), batch.tasks[name].targets.cpu(), strict=True):
                self._rows.setdefault(name, []).append(
                    {"row": int(row), "text": labelled.corpus.texts[row], **said(labelled.task.kind, output, target)}
                )

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the files."""
        import pandas as pd

        self.folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self._rows.items():
            self.files.append(self.folder / f"{name}.parquet")
            pd.DataFrame(rows).sort_values("row").to_parquet(self.files[-1], index=False)


def said(kind: Kind, output: Tensor, target: Tensor) -> dict[str, Any]:
    """Target, answer and probability of one row, in words."""
    if kind.per_token:
        kept = target != IGNORED
        output, target = output[kept], target[kept]
    answer = kind.answer(output)
    return {"target": kind.words(target), "answer": answer.value, "probability": answer.probability}
