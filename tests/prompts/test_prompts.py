"""Prompts written as words."""

import io
import string

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.kinds import Classification
from mtl.data.task import Task
from mtl.errors import MtlError
from mtl.prompts.feature import MEASURES, Feature
from mtl.prompts.keyword import Keyword
from mtl.prompts.none import NoPrompt
from mtl.prompts.phrase import Phrase

KIND = Classification(("a", "b"))
texts = st.text("ab1!，。", min_size=1, max_size=15)


def task(name="t", keywords=("分类", "标签"), phrase="请读：{text}，类别是："):
    return Task(name, KIND, tuple(keywords), phrase)


def test_each_prompt_stands_around_the_text():
    assert NoPrompt().render(task(), "好") == ("", "")
    assert Keyword().render(task(), "好") == ("分类 标签：", "")
    assert Keyword(separator="、", mark=":").render(task(), "好") == ("分类、标签:", "")
    assert Phrase().render(task(), "好") == ("请读：", "，类别是：")


def test_a_prompt_may_bring_the_words_of_its_tasks():
    brought = Keyword(keywords={"t": ["词"], "u": ["别"]})
    assert brought.render(task(), "好") == ("词：", "")
    assert brought.signature(task()) != brought.signature(task("u"))
    phrased = Phrase({"t": "问{text}答", "u": "{text}"})
    assert phrased.render(task(), "好") == ("问", "答")
    assert phrased.signature(task()) != phrased.signature(task("u"))
    for prompt in (brought, phrased):
        prompt.fit(task(keywords=(), phrase=""), [])
        with pytest.raises(MtlError, match=r"for t, u\. Task other has none there"):
            prompt.fit(task("other"), [])
        prompt.check(["t", "u", "v"])
        with pytest.raises(MtlError, match=r"should name tasks of the run: t, v\. Found 'u'"):
            prompt.check(["t", "v"])


@pytest.mark.parametrize("words", ["词", [], [""], [3]])
def test_keywords_that_are_no_list_of_words_are_refused(words):
    with pytest.raises(MtlError, match=r"keywords\.t should be a list of words"):
        Keyword(keywords={"t": words})


def test_a_phrase_without_its_slot_is_refused():
    with pytest.raises(MtlError, match=r"phrases\.t should hold the slot \{text\} once"):
        Phrase({"t": "问"})


@pytest.mark.parametrize(
    ("prompt", "lacking", "field"),
    [(Keyword(), task(keywords=()), "keywords: "), (Phrase(), task(phrase=""), "phrase: ")],
)
def test_a_task_that_lacks_the_words_is_refused_by_name(prompt, lacking, field):
    with pytest.raises(MtlError, match=rf"Task t has none: add `{field}"):
        prompt.fit(lacking, [])
    prompt.fit(task(), [])


words = st.text("ab ", max_size=3)


@given(st.lists(words, min_size=1, max_size=3), st.lists(words, min_size=1, max_size=3), words, words, words, words)
def test_signatures_are_equal_exactly_when_the_announcements_are(one, two, before, after, before2, after2):
    tasks = [task("a", one, before + "{text}" + after), task("b", two, before2 + "{text}" + after2)]
    for prompt in (NoPrompt(), Keyword(), Phrase()):
        alike = prompt.render(tasks[0], "x") == prompt.render(tasks[1], "x")
        assert (prompt.signature(tasks[0]) == prompt.signature(tasks[1])) == alike


@pytest.mark.parametrize(
    "prompt", [NoPrompt(), Keyword(), Phrase(), Feature()], ids=lambda prompt: type(prompt).__name__
)
@given(found=st.lists(texts, min_size=1, max_size=8), text=texts)
def test_the_wording_holds_every_word_that_may_be_added(prompt, found, text):
    prompt.fit(task(), found)
    assert set("".join(prompt.render(task(), text))) <= set(prompt.wording(task()))


def test_no_prompt_adds_no_word():
    assert NoPrompt().wording(task()) == ""


@given(st.lists(texts, min_size=1, max_size=20), st.integers(2, 4))
def test_levels_are_numpys_quantiles_of_the_training_texts(found, count):
    levels = tuple("一二三四"[:count])
    prompt = Feature(levels=levels)
    prompt.fit(task(), found)
    by_hand = {
        "长度": len,
        "标点": lambda text: sum(c in string.punctuation + "，。" for c in text) / len(text),
        "数字": lambda text: text.count("1") / len(text),
        "感叹": lambda text: text.count("!"),
        "重复": lambda text: 1 - len(set(text)) / len(text),
    }
    assert list(by_hand) == list(MEASURES)
    for text in found:
        said = []
        for name, measure in by_hand.items():
            cuts = np.quantile([measure(other) for other in found], [k / count for k in range(1, count)])
            said.append(name + levels[sum(measure(text) > cut for cut in cuts)])
        assert prompt.render(task(), text) == (" ".join(said) + "：", "")


def test_thirds_of_evenly_spread_lengths_have_one_level_each():
    prompt = Feature(["长度"])
    prompt.fit(task(), ["x" * n for n in range(1, 100)])
    said = [prompt.render(task(), "x" * n)[0] for n in range(1, 100)]
    assert [said.count(f"长度{level}：") for level in "低中高"] == [33, 33, 33]
    assert said == sorted(said, key=["长度低：", "长度中：", "长度高："].index)


@given(st.lists(texts, min_size=1, max_size=6), st.lists(texts, min_size=1, max_size=6), texts)
def test_tasks_with_equal_feature_signatures_announce_alike(one, two, text):
    prompt, tasks = Feature(), (task("a"), task("b"))
    prompt.fit(tasks[0], one)
    prompt.fit(tasks[1], two)
    if prompt.signature(tasks[0]) == prompt.signature(tasks[1]):
        assert prompt.render(tasks[0], text) == prompt.render(tasks[1], text)
    prompt.fit(tasks[1], one)
    assert prompt.signature(tasks[0]) == prompt.signature(tasks[1])


def test_cuts_come_from_the_training_texts_only(literal, announced):
    from mtl.data.task import TaskSpec

    def cuts(val, test):
        prompt = Feature(["长度"])
        source = literal(["a", "bb", "ccc", "dddd", val, test], label=["x", "y"] * 3)
        announced([TaskSpec("t", "classification", source)], prompt)
        return prompt.cuts["t"]

    assert cuts("e", "f") == cuts("e" * 50, "f" * 90) == [np.quantile([1, 2, 3, 4], [1 / 3, 2 / 3]).tolist()]


def test_what_was_fitted_comes_back_through_a_checkpoint():
    prompt = Feature()
    prompt.fit(task(), ["a", "bb!", "1，c"])
    file = io.BytesIO()
    torch.save(prompt.state(), file)
    file.seek(0)
    back = Feature()
    back.load_state(torch.load(file, weights_only=True))
    assert back.render(task(), "bb!") == prompt.render(task(), "bb!")
    assert back.signature(task()) == prompt.signature(task())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measures": ["长度", "高度"]}, "measures should be of 长度, .* Found \\['高度'\\]"),
        ({"measures": []}, "Found none"),
        ({"levels": ["低"]}, "levels should be two or more distinct words"),
        ({"levels": ["低", "低"]}, "levels should be two or more distinct words"),
    ],
)
def test_unknown_measures_and_levels_that_say_nothing_are_refused(options, message):
    with pytest.raises(MtlError, match=message):
        Feature(**options)
