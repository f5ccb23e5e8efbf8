"""A folder with a user's own two tasks, and the `mtl` command run inside this process."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from mtl.cli.describe import say
from mtl.cli.main import main
from mtl.tracking.store import open_store

WORDS = {"good": ["nice", "great", "fine", "love"], "bad": ["poor", "awful", "sad", "hate"]}
FILLERS = ["the", "a", "book", "it"]


class Done(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables made: MLflow takes seconds for that."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_store(f"sqlite:///{path}", "made")
    return path


@pytest.fixture
def folder(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`reviews` (two columns of a CSV) and `names` (CoNLL), each a YAML of a few lines, in the working folder."""
    rng = random.Random(0)
    lines = ["comment,stars"]
    for number in range(240):
        label = rng.choice(sorted(WORDS))
        lines.append(" ".join(rng.choices(WORDS[label] + FILLERS, k=8)) + f" {number},{label}")
    (tmp_path / "reviews.csv").write_text("\n".join(lines) + "\n")
    sentences = [
        f"{rng.choice(['Anna', 'Bob'])} B-PER\nSmith{number} I-PER\nlives O\nin O\n"
        f"{rng.choice(['Rome', 'Oslo'])} B-LOC\n"
        for number in range(200)
    ]
    (tmp_path / "names.conll").write_text("\n".join(sentences))
    (tmp_path / "reviews.yaml").write_text(
        "kind: classification\nsource: reviews.csv\ntext: comment\nlabel: stars\n"
        "keywords: [stars, rating]\nphrase: 'how many stars? {text}'\n"
    )
    (tmp_path / "names.yaml").write_text(
        "kind: tagging\nsource: names.conll\nkeywords: [names, places]\nphrase: 'who and where? {text}'\n"
    )
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    say.cache_clear()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


SMALL = (
    "steps=12",
    "eval_every=12",
    "batch_size=8",
    "data.unit=words",
    "data.max_length=32",
    "trainer.progress=false",
    "tracking.system_every=0",
    "tracking.every=4",
)


@pytest.fixture
def mtl(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a command in the folder; `train` gets small settings."""

    def run(*words: str) -> Done:
        small = [w for w in SMALL if not any(given.startswith(w.split("=")[0] + "=") for given in words)]
        with pytest.raises(SystemExit) as ended:
            main([*words, *(small if words[0] == "train" and "--help" not in words else [])])
        printed = capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0 if code is None else 1, printed.out, printed.err)

    return run
