"""Vectors among the embedded tokens: the batch, the idle rows, where they stand, what they start from."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.batch import Announced, collate
from mtl.errors import MtlError
from mtl.model.prompt.inserted import insert
from mtl.model.prompt.soft import Soft
from mtl.prompts.announce import announced as announce
from mtl.prompts.keyword import Keyword
from mtl.prompts.none import NoPrompt
from mtl.prompts.phrase import Phrase


@given(st.data())
def test_insertion_is_what_a_list_would_do(data):
    lengths = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    counts = [data.draw(st.integers(0, 4)) for _ in lengths]
    place = [data.draw(st.integers(0, length)) for length in lengths]
    L, P = max(lengths), max(counts)
    tokens = torch.arange(len(lengths) * L).view(len(lengths), L, 1).float()
    vectors = -1 - torch.arange(len(lengths) * P).view(len(lengths), P, 1).float()
    placed, inside, positions, back = insert(
        tokens, *map(torch.tensor, (lengths,)), vectors, *map(torch.tensor, (counts, place))
    )
    for row, (length, count, at) in enumerate(zip(lengths, counts, place, strict=True)):
        own = tokens[row, :length, 0].tolist()
        expected = own[:at] + vectors[row, :count, 0].tolist() + own[at:]
        assert placed[row, inside[row], 0].tolist() == expected
        assert positions[row, inside[row]].tolist() == list(range(length + count))
        assert placed[row, back[row, :length], 0].tolist() == own


@pytest.mark.parametrize("trunk", ["transformer", "lstm"])
@pytest.mark.parametrize("slot", ["start", "end"])
def test_vectors_that_are_embeddings_of_words_read_as_those_words(made, rows, trunk, slot):
    model, tasks = made(Soft(NoPrompt(), length=3, init=["甲乙", "丁"], slot=slot), trunk, moved=False)
    _, batch = rows(tasks, {"mood": 7})
    words = model.prompt.rows["mood"].vectors
    number = [(model.trunk.embedding.weight == word).all(1).nonzero().item() for word in words]
    found = model.features(batch)
    for ids, length, features in zip(batch.ids, batch.lengths.tolist(), found, strict=True):
        own = ids[:length].tolist()
        said = torch.tensor([number + own if slot == "start" else own + number])
        expected = model.trunk(said, torch.tensor([length + 3]))[0]
        expected = expected[3:] if slot == "start" else expected[:length]
        torch.testing.assert_close(features[:length], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("slot", "said"),
    [
        ("before", "标签甲乙{text}"),
        ("after", "{text}甲乙几星"),
        ("inside", "标甲乙签{text}"),
        ("inside", "{text}几甲乙星"),
        ("inside", "甲乙标签{text}几星"),
    ],
)
def test_a_slot_inside_the_announced_text(made, slot, said, four_kinds, announced):
    """Oracle: the phrase with the words of the prompt written into it."""
    name = "tags" if slot == "before" else "stars"
    specs = [spec for spec in four_kinds() if spec.name == name]
    phrase = Phrase({name: said.replace("甲乙", "{prompt}")} if slot == "inside" else None)
    model, tasks = made(Soft(phrase, 2, ["甲乙"], slot), names=[name], moved=False)
    _, vocabulary = announced(specs, Soft(phrase, 2, ["甲乙"], slot))
    labelled = tasks[name].labelled
    texts, tokens = labelled.corpus.texts, labelled.corpus.tokens
    written = announce(Phrase({name: said}), labelled.task, texts, tokens, vocabulary, 64)
    chosen = {name: np.array([0, 3, 7])}
    batch, whole = collate(chosen, tasks), collate(chosen, {name: Announced(labelled, written)})
    before = said.partition("甲乙")[0]
    own = batch.bounds[:, 1] - batch.bounds[:, 0]
    at = own + len(before) - len("{text}") if "{text}" in before else torch.full_like(own, len(before))
    expected, found = model.trunk(whole.ids, whole.lengths), model.prompt(model.trunk, batch)
    for row, (length, place) in enumerate(zip(batch.lengths.tolist(), at.tolist(), strict=True)):
        torch.testing.assert_close(found[row, :place], expected[row, :place], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            found[row, place:length], expected[row, place + 2 : length + 2], atol=1e-5, rtol=1e-5
        )


def test_without_learned_vectors_their_place_in_a_phrase_is_nothing(four_kinds, announced):
    said = {"stars": "{text}几{prompt}星"}
    specs = [spec for spec in four_kinds() if spec.name == "stars"]
    found, expected = (
        [vocabulary.names[number - 2] for number in tasks["stars"].inputs.ids]
        for tasks, vocabulary in (announced(specs, Phrase(phrases)) for phrases in (said, {"stars": "{text}几星"}))
    )
    assert found == expected


@pytest.mark.parametrize("text", [Phrase(), Keyword()])
def test_a_slot_inside_needs_a_phrase_that_says_where(made, text):
    with pytest.raises(MtlError, match=r"slot=inside needs .*\{prompt\} in task stars's phrase\. Found none"):
        made(Soft(text, slot="inside"), names=["stars"])
    with pytest.raises(MtlError, match=r"phrases\.stars should hold \{prompt\} once at most"):
        Phrase({"stars": "{prompt}{text}{prompt}"})


@pytest.mark.parametrize(
    ("init", "words"),
    [("keywords", "星数星数"), ("phrase", "几星几星"), (["丙", "丁"], "丙丁丙丁"), ({"stars": ["甲"]}, "甲甲甲甲")],
)
def test_a_row_starts_at_the_words_embeddings(made, init, words, four_kinds, announced):
    model, _ = made(Soft(Keyword(), length=4, init=init), names=["stars"], moved=False)
    specs = [spec for spec in four_kinds() if spec.name == "stars"]
    _, vocabulary = announced(specs, Soft(Keyword(), length=4, init=init))
    expected = model.trunk.embedding.weight[torch.tensor(vocabulary.encode(words).tolist())]
    assert torch.equal(model.prompt.rows["stars"].vectors, expected)


def test_an_unknown_task_is_an_error(made, rows):
    model, tasks = made(Soft(NoPrompt()))
    _, batch = rows(tasks, {"mood": 3})
    batch.tasks = {"elsewhere": batch.tasks["mood"]}
    with pytest.raises(MtlError, match=r"the table has rows for mood, stars, topics, tags\. Found task 'elsewhere'"):
        model.features(batch)
