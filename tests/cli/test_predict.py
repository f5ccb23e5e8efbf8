import json
from pathlib import Path

import pandas as pd
import pytest

from mtl.cli.predict import load

TASKS = "task=[./reviews.yaml,names.yaml]"


LEARNED = [
    "soft prompt/text=keyword prompt.slot=before prompt.length={reviews:3,names:5}",
    "feature_vector prompt.features=tfidf prompt/text=feature",
    "attentional",
    "prefix trunk=transformer",
]


@pytest.mark.parametrize("prompt", ["none", "keyword", "phrase", "feature", *LEARNED])
def test_a_recorded_model_answers_as_it_did_in_its_test(mtl, folder, prompt):
    trained = mtl("train", TASKS, *f"prompt={prompt}".split(), "steps=30", "data.max_length=64")
    assert trained.code == 0, trained.err
    run_id = trained.out.split("run ")[-1].split(")")[0]
    predictions = next(Path(folder / "mlartifacts").rglob("predictions"))
    reviews = pd.read_parquet(predictions / "reviews.parquet").head(5)
    done = mtl("predict", run_id[:8], "--task", "reviews", "--json", *reviews.text)
    assert done.code == 0, done.err
    for line, row in zip(done.out.splitlines(), reviews.itertuples(), strict=True):
        answer = json.loads(line)
        assert answer["text"] == row.text
        assert answer["reviews"]["answer"] == row.answer
        assert answer["reviews"]["probability"] == pytest.approx(row.probability, abs=1e-4)
    checkpoint = next(Path(folder / "mlartifacts").rglob("last.ckpt"))
    names = pd.read_parquet(predictions / "names.parquet").head(3)
    for said, row in zip(load(checkpoint).answer(list(names.text), ["names"]), names.itertuples(), strict=True):
        assert said["names"].value == list(row.answer)


def test_one_text_is_answered_by_all_tasks_of_the_run(mtl):
    trained = mtl("train", TASKS)
    run_id = trained.out.split("run ")[-1].split(")")[0]
    done = mtl("predict", run_id, "Anna loves a nice book")
    lines = done.out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["reviews", "names"]
    assert len(lines[1].split(": ")[1].split()) == 5
    unknown = mtl("predict", run_id, "--task", "other", "text")
    assert unknown.code == 2
    assert "reviews, names" in unknown.err
