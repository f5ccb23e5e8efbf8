"""A text gets the same answers from a predictor as in the test of its run."""

import pytest
import pytorch_lightning as pl
import torch

from mtl.data.kinds import Answer
from mtl.errors import MtlError
from mtl.model.lstm import LSTM
from mtl.model.multitask import MultiTaskModel
from mtl.prompts.feature import Feature
from mtl.prompts.keyword import Keyword
from mtl.prompts.none import NoPrompt
from mtl.prompts.phrase import Phrase
from mtl.strategies.weighting.equal import Equal
from mtl.training.loaders import EvaluationLoader
from mtl.training.module import MultiTaskModule
from mtl.training.predictions import said
from mtl.training.predictor import Predictor, tidy

pytestmark = pytest.mark.filterwarnings("ignore")
LENGTHS = {"NoPrompt": 9, "Keyword": 10, "Phrase": 10, "Feature": 25}
"""Short enough to cut some texts."""


def made(prompt, four_kinds, announced):
    length = LENGTHS[type(prompt).__name__]
    tasks, vocabulary = announced(four_kinds(), prompt, length)
    known = {name: task.labelled.task for name, task in tasks.items()}
    kinds = {name: task.kind for name, task in known.items()}
    torch.manual_seed(0)
    model = MultiTaskModel(LSTM(len(vocabulary), True, units=8, embedding=6), kinds, dropout=0.5)
    return tasks, model, Predictor(model, known, prompt, vocabulary, length)


@pytest.mark.parametrize(
    "prompt",
    [NoPrompt(), Keyword(), Phrase(), Feature(["长度", "重复", "标点", "数字"])],
    ids=lambda p: type(p).__name__,
)
def test_answers_are_those_of_the_test(prompt, four_kinds, announced):
    tasks, model, predictor = made(prompt, four_kinds, announced)
    known = {name: task.labelled.task for name, task in tasks.items()}
    module = MultiTaskModule(model, known, Equal(dict.fromkeys(known, "classification")), None, 1, {})
    found = {}

    class Keep(pl.Callback):
        def on_test_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            for name, rows in trainer.test_dataloaders.plan[batch_idx].items():
                for row, output, target in zip(rows, outputs[name], batch.tasks[name].targets, strict=True):
                    found[int(row), name] = said(known[name].kind, output, target)

    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    pl.Trainer(callbacks=[Keep()], enable_checkpointing=False, **options).test(
        module, EvaluationLoader(tasks, "test", 100), verbose=False
    )
    rows = sorted({row for row, _ in found})
    corpus = tasks["mood"].labelled.corpus
    for row, answers in zip(rows, predictor.answer([corpus.texts[row] for row in rows]), strict=True):
        assert list(answers) == list(tasks)
        for name, answer in answers.items():
            expected = found[row, name]
            if name == "stars":
                assert answer.value == pytest.approx(expected["answer"], rel=1e-5)
            else:
                assert answer.value == expected["answer"]
                assert answer.probability == pytest.approx(expected["probability"], abs=1e-5)
    assert all(task.inputs.truncated for task in tasks.values())


def test_only_the_tasks_asked_for_answer_and_an_unknown_one_is_an_error(four_kinds, announced):
    _, _, predictor = made(NoPrompt(), four_kinds, announced)
    assert [list(answers) for answers in predictor.answer(["甲乙", "丁"], ["tags", "mood"])] == [["tags", "mood"]] * 2
    with pytest.raises(MtlError, match=r"the run has the tasks mood, stars, topics, tags. Found 'nope'"):
        predictor.answer(["甲"], ["nope"])


def test_tags_are_one_a_character(four_kinds, announced):
    _, _, predictor = made(Keyword(), four_kinds, announced)
    assert [len(answers["tags"].value) for answers in predictor.answer(["甲乙丙丁", "丁"])] == [4, 1]


def test_many_texts_are_answered_as_each_alone_and_in_their_order(four_kinds, announced, monkeypatch):
    monkeypatch.setattr("mtl.training.predictor.TEXTS_AT_ONCE", 3)
    _, _, predictor = made(NoPrompt(), four_kinds, announced)
    texts = ["甲乙丙丁戊甲乙", "丁", "乙丙甲", "戊戊戊戊戊", "甲丁", "丙", "丁丁丁丁"]
    asked = [["mood", "tags"], ["tags"], ["topics", "mood"], ["stars"], ["mood"], ["tags", "mood"], ["mood"]]
    for text, names, answers in zip(texts, asked, predictor.answer_each(texts, asked), strict=True):
        assert list(answers) == names
        for name, answer in predictor.answer([text], names)[0].items():
            assert answers[name].value == (pytest.approx(answer.value) if name == "stars" else answer.value)
            assert answers[name].probability == pytest.approx(answer.probability, abs=1e-6)


def test_a_tidy_table_writes_each_sort_of_answer():
    answers = [
        {"mood": Answer("good", 0.75), "stars": Answer(2.5)},
        {"tags": Answer(["B-X", "O"], [0.5, 0.25]), "topics": Answer([], [])},
    ]
    table = tidy(["甲", "乙丙"], answers)
    assert table.astype(object).where(table.notna(), None).to_numpy().tolist() == [
        [0, "甲", "mood", "good", 0.75, None],
        [0, "甲", "stars", "2.5", None, None],
        [1, "乙丙", "tags", '["B-X", "O"]', None, "[0.5, 0.25]"],
        [1, "乙丙", "topics", "[]", None, "[]"],
    ]
