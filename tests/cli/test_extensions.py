"""Code and options of a user's own, outside the package."""

import shutil
import sys
from pathlib import Path

import pytest

from mtl.cli import extensions
from mtl.tracking.runs import read_runs

TASKS = "task=[./reviews.yaml,names.yaml]"
CODE = """
import torch
from mtl.strategies.weighting.base import Weighting


class Tilted(Weighting):
    def __init__(self, tasks, share: float = 0.75):
        super().__init__(tasks)
        if not 0 < share < 1:
            raise ValueError(f"`share` should be between 0 and 1. Found {share}")
        self.share = share

    def forward(self, signals):
        rest = (1 - self.share) / max(1, len(signals.tasks) - 1)
        return torch.where(signals.tasks == 0, self.share, rest)
"""


@pytest.fixture
def own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module, an option that names it in a folder of options, and the same option as a single file."""
    (folder / "code").mkdir()
    (folder / "code" / "tilted_lab.py").write_text(CODE)
    (folder / "options" / "weighting").mkdir(parents=True)
    (folder / "options" / "weighting" / "tilted.yaml").write_text("_target_: tilted_lab.Tilted\nshare: 0.75\n")
    shutil.copy(folder / "options" / "weighting" / "tilted.yaml", folder / "alone.yaml")
    monkeypatch.syspath_prepend(folder / "code")
    monkeypatch.setenv("MTL_EXTENSIONS", "tilted_lab")
    monkeypatch.delitem(sys.modules, "tilted_lab", raising=False)
    extensions._hash.cache_clear()
    return folder


def weights(folder: Path) -> dict[str, tuple[float, float]]:
    """Last weights by the weighting's option."""
    frame = read_runs(f"sqlite:///{folder / 'mlflow.db'}", "mtl")
    pairs = zip(frame["metrics.train/reviews/weight"], frame["metrics.train/names/weight"], strict=True)
    return dict(zip(frame["tags.mtl.weighting"], pairs, strict=True))


@pytest.mark.parametrize(
    "words", [("weighting=./alone.yaml",), ("hydra.searchpath=[file://options]", "weighting=tilted")]
)
def test_a_weighting_from_outside_the_package_weighs(mtl, own, words):
    done = mtl("train", TASKS, *words)
    assert done.code == 0, done.err
    assert list(weights(own).values()) == [(pytest.approx(0.75), pytest.approx(0.25))]


def test_it_stands_in_a_sweep_beside_the_packages_own(mtl, own):
    done = mtl("train", "-m", TASKS, "hydra.searchpath=[file://options]", "weighting=equal,tilted", "steps=4")
    assert done.code == 0, done.err + done.out
    assert weights(own) == {"equal": (0.5, 0.5), "tilted": (pytest.approx(0.75), pytest.approx(0.25))}


def test_what_its_constructor_refuses_is_one_line(mtl, own):
    done = mtl("train", TASKS, "weighting=./alone.yaml", "weighting.share=3")
    assert (done.code, done.err) == (2, "mtl: weighting: `share` should be between 0 and 1. Found 3\n")


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("", ["_target_", "MTL_EXTENSIONS=tilted_lab", "tilted_lab.Tilted"]),
        ("tilted", ["_target_", "MTL_EXTENSIONS=tilted_lab"]),  # a name is no prefix of another's
        ("tilted_lab.py", ["MTL_EXTENSIONS", "'tilted_lab.py'"]),
    ],
)
def test_only_what_the_environment_names_runs(mtl, own, monkeypatch, named, says):
    monkeypatch.setenv("MTL_EXTENSIONS", named)
    done = mtl("train", TASKS, "weighting=./alone.yaml")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in says), done.err


def test_a_module_that_is_not_there_is_one_line(mtl, own, monkeypatch):
    monkeypatch.setenv("MTL_EXTENSIONS", "nowhere_lab")
    done = mtl("train", TASKS, "weighting=./alone.yaml", "weighting._target_=nowhere_lab.Tilted")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "nowhere_lab" in done.err


def test_other_code_is_another_run(mtl, own):
    words = ("train", TASKS, "weighting=./alone.yaml", "steps=4")
    assert mtl(*words).code == 0
    assert "in the record already" in mtl(*words).out
    (own / "code" / "tilted_lab.py").write_text(CODE.replace("max(1,", "max(1.0,"))
    extensions._hash.cache_clear()  # what a new process begins with
    done = mtl(*words)
    assert done.code == 0
    assert "in the record already" not in done.out
