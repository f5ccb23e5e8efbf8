"""The public Python functions: training from a script, and reading what it recorded."""

import sys

import numpy as np
import pytest

import mtl as package
from mtl.errors import MtlError

SMALL = [
    "task=[./reviews.yaml,names.yaml]",
    "steps=6",
    "eval_every=6",
    "batch_size=8",
    "data.unit=words",
    "trainer.progress=false",
    "tracking.system_every=0",
    "tracking.every=2",
]


def test_trains_a_sweep_and_reads_its_curves(folder, monkeypatch):
    words = list(sys.argv)
    package.train([*SMALL, "seed=0,1"], sweep=True)
    assert sys.argv == words
    found = package.runs("mtl")
    assert sorted(found["tags.mtl.seed"]) == ["0", "1"]
    monkeypatch.chdir("/")  # the frame knows its store
    curves = package.history(found, ["train/names/loss", "train/reviews/loss"])
    assert list(curves.columns) == ["run_id", "metric", "step", "value"]
    assert len(curves) == 2 * 2 * 3
    assert set(curves["step"]) == {2, 4, 6}
    assert np.isfinite(curves["value"]).all()
    assert package.figure("losses", found).axes


def test_a_wrong_value_is_an_error_of_one_line(folder):
    with pytest.raises(MtlError, match=r"^steps should be a whole number of at least 1\. Found 0$"):
        package.train(["steps=0"])
    with pytest.raises(MtlError, match="Found 'seed=1'"):
        package.train("seed=1")


def test_the_error_of_a_failed_job_comes_after_the_others(folder):
    with pytest.raises(MtlError, match="batch_size"):
        package.train([*SMALL, "batch_size=0,8"], sweep=True)
    assert list(package.runs("mtl")["params.batch_size"]) == ["8"]


def test_every_public_name_is_there_and_any_other_is_not():
    assert {name for name in package.__all__ if getattr(package, name) is not None} == set(package.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing
