"""Label words by a language model, against transformers run once for each word."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.batch import Batch, TaskRows
from mtl.data.inputs import Inputs
from mtl.data.kinds import Classification, Tagging
from mtl.data.task import Task
from mtl.data.tokenizer import PretrainedTokenizer
from mtl.data.vocabulary import Vocabulary
from mtl.errors import MtlError
from mtl.model.cloze.cloze import Cloze, ClozeHead, Plan
from mtl.model.cloze.words import between, label_words
from mtl.model.multitask import MultiTaskModel
from mtl.model.prompt.attentional import Attentional
from mtl.model.prompt.feature_vector import FeatureVector
from mtl.model.prompt.inserted import Read
from mtl.model.prompt.soft import Soft
from mtl.prompts.keyword import Keyword
from mtl.prompts.none import NoPrompt
from mtl.prompts.phrase import Phrase

WORDS = {
    "mood": [[(5,), (6, 7)], [(8, 9, 10)]],
    "size": [[(6,)], [(6, 7, 11)], [(12,), (5, 5)]],
    "plain": [[(9,)], [(10,)]],
}
ids = st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple)
DECODERS = ("gpt2", "llama")


@given(st.lists(ids, min_size=2, max_size=7, unique=True), st.sampled_from([None, 99]))
def test_a_plan_reads_every_piece_of_every_word_where_it_follows_its_beginning(words, mask):
    plan = Plan.of([[word] for word in words], mask)
    read = {number: [] for number in range(len(words))}
    for place, token, number in plan.picks:
        variant, step = plan.places[place]
        seen = plan.variants[variant]
        if mask is None:
            assert seen[:step] == words[number][:step]
        else:
            assert seen == (mask,) * (len(words[number]) - 1)
            assert step == len(read[number])
        read[number].append(token)
    assert [tuple(tokens) for tokens in read.values()] == words
    if mask is None:  # none is there in vain
        assert not any(a != b and b[: len(a)] == a for a, b in itertools.product(plan.variants, repeat=2))


@pytest.fixture(params=["gpt2", "llama", "bert", "roberta"])
def asked(request, tiny_model):
    """A model with three tasks of words, transformers' own, and a batch of them that share some of its inputs."""
    transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")
    from mtl.model.pretrained.trunk import Pretrained

    kind, folder = request.param, tiny_model(request.param)
    causal = kind in DECODERS
    tokenizer = PretrainedTokenizer(str(folder))
    trunk = Pretrained(0, False, str(folder), causal, language_model=True)
    cloze = Cloze(WORDS, None if causal else tokenizer.mask, len(tokenizer.end))
    kinds = {name: Classification(tuple(map(str, range(len(labels))))) for name, labels in WORDS.items()}
    model = MultiTaskModel(trunk, kinds, cloze=cloze).eval()
    auto = transformers.AutoModelForCausalLM if causal else transformers.AutoModelForMaskedLM
    theirs = auto.from_pretrained(folder, dtype=torch.float32).eval()
    texts = ["the book was good", "it is", "a terrible story about the book"]
    after = "" if causal else " it is {mask}!"
    inputs = Inputs.build(texts, None, lambda text: ("", after), tokenizer, 40)
    rows = np.arange(3)
    padded, lengths = torch.from_numpy(inputs.pad(rows, 30)), torch.from_numpy(inputs.lengths)
    shares = {"mood": None, "size": torch.tensor([2, 0]), "plain": torch.tensor([1, 1, 2])}
    targets = {"mood": torch.tensor([0, 1, 0]), "size": torch.tensor([2, 1]), "plain": torch.tensor([1, 0, 0])}
    batch = Batch(padded, lengths, {name: TaskRows(share, targets[name]) for name, share in shares.items()})
    return model, theirs, tokenizer, batch


def test_a_saved_run_needs_the_prior_of_each_label_and_what_was_learned_for_it(asked):
    model, *_ = asked
    labels = sum(map(len, WORDS.values()))
    assert model.saved_parameters() == labels
    kinds = {name: Classification(tuple(map(str, range(len(words))))) for name, words in WORDS.items()}
    biased = MultiTaskModel(model.trunk, kinds, cloze=model.cloze, bias=True)
    assert biased.saved_parameters() == 2 * labels


def by_hand(theirs, tokenizer, row, word, causal):
    if causal:
        whole = torch.tensor([[*row, *word]])
        logits = theirs(input_ids=whole).logits[0].log_softmax(-1)
        return sum(logits[len(row) - 1 + step, token] for step, token in enumerate(word))
    at = row.index(tokenizer.mask)
    whole = torch.tensor([[*row[:at], *[tokenizer.mask] * len(word), *row[at + 1 :]]])
    logits = theirs(input_ids=whole).logits[0].log_softmax(-1)
    return sum(logits[at + step, token] for step, token in enumerate(word))


def test_scores_are_those_of_the_language_model_run_for_each_word(asked):
    model, theirs, tokenizer, batch = asked
    found = model(batch)
    for name, rows in batch.tasks.items():
        for line, row in enumerate(range(3) if rows.inputs is None else rows.inputs.tolist()):
            plain = batch.ids[row, : batch.lengths[row]].tolist()
            for label, words in enumerate(WORDS[name]):
                scores = [by_hand(theirs, tokenizer, plain, word, model.trunk.causal) for word in words]
                expected = torch.stack(scores).exp().mean().log()
                torch.testing.assert_close(found[name][line, label], expected, atol=1e-4, rtol=1e-4)


def test_each_input_stands_once_in_the_expanded_batch(asked):
    model, _, _, batch = asked
    expanded = model.asked(batch)
    rows = {tuple(row[:n].tolist()) for row, n in zip(expanded.ids, expanded.lengths, strict=True)}
    assert len(rows) == len(expanded.ids)
    assert [len(rows.targets) for rows in expanded.tasks.values()] == [3, 2, 3]


@pytest.mark.parametrize("needs_apart", [True, False])
def test_a_weighting_that_takes_gradients_sees_the_same_losses(asked, needs_apart, monkeypatch):
    from mtl.strategies.weighting.base import Signals
    from mtl.strategies.weighting.mgda import MGDA
    from mtl.training import gradients, passes

    model, _, _, batch = asked
    monkeypatch.setattr(passes, "cheaper_apart", lambda batch: needs_apart)
    for parameter in model.trunk.last_layer()[0].parameters():
        parameter.requires_grad_()
    plain = model(batch)
    losses = {name: torch.nn.functional.cross_entropy(plain[name], rows.targets) for name, rows in batch.tasks.items()}
    told, _, _ = gradients.weigh_gradients(
        model,
        batch,
        dict.fromkeys(batch.tasks, torch.nn.functional.cross_entropy),
        MGDA(tasks=dict.fromkeys(batch.tasks, "classification")),
        lambda found: Signals(torch.arange(3), found, 0, 10, 0),
        "shared",
    )
    torch.testing.assert_close(told.losses, torch.stack(list(losses.values())).detach())
    apart = [
        torch.autograd.grad(loss, gradients.parameters_at(model, "shared"), allow_unused=True, retain_graph=True)
        for loss in losses.values()
    ]
    flat = torch.stack([torch.cat([part.flatten() for part in parts if part is not None]) for parts in apart])
    torch.testing.assert_close(told.gramian, flat @ flat.T, atol=1e-4, rtol=1e-3)


def test_calibration_divides_by_what_no_content_gets():
    head = ClozeHead(Plan.of(WORDS["plain"], None), bias=False)
    logits = torch.zeros(1, 1, 20)
    logits[0, 0, 9], logits[0, 0, 10] = 2.0, 1.0
    p = head(logits).softmax(-1)
    free = torch.tensor([[0.7, 0.3], [0.5, 0.5]]).log()
    head.calibrate(free)
    weighed = p / torch.tensor([[0.6, 0.4]])
    torch.testing.assert_close(head(logits).softmax(-1), weighed / weighed.sum())
    assert "prior" in head.state_dict()


def test_a_bias_is_all_that_a_cloze_head_may_learn():
    plan = Plan.of(WORDS["plain"], None)
    assert [tuple(p.shape) for p in ClozeHead(plan, bias=True).parameters()] == [(2,)]
    assert not list(ClozeHead(plan, bias=False).parameters())


def task(labels=("good", "bad"), phrase="{text} it is {mask}!", kind=Classification):
    return Task("mood", kind(tuple(labels)), ("mood",), phrase)


def test_a_word_reads_as_it_stands_in_the_text(tiny_model):
    transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")
    for kind in ("gpt2", "llama", "bert", "roberta"):
        ours = PretrainedTokenizer(str(tiny_model(kind)))
        theirs = transformers.AutoTokenizer.from_pretrained(tiny_model(kind))
        causal = kind in DECODERS
        for phrase in ("{text} it is", "{text} it is {prompt}") if causal else ("{text} it is {mask}!",):
            (good,), (bad,) = label_words(task(phrase=phrase), None, ours, Phrase(), causal)
            for ids, word in ((good, "good"), (bad, "bad")):
                whole = theirs(f"the book it is {word}", add_special_tokens=False, truncation=False).input_ids
                assert tuple(whole[-len(ids) :]) == ids


def test_a_space_stands_before_a_word_where_one_would():
    assert between("it is", "good", True) == " "
    assert between("it is ", "good", True) == ""
    assert between("it is ", "good", False) == " "
    assert between("标签是：", "积极", True) == ""
    assert between("", "good", True) == " "


@pytest.mark.parametrize(
    ("changed", "words", "message"),
    [
        ({}, {"good": "good", "bad": "good"}, "'good' of label bad reads like a word of label good to the tokenizer"),
        ({}, {"good": ["good", "nice"], "bad": ["bad", "nice"]}, "'nice' of label bad reads like a word of label good"),
        ({}, {"good": "Good", "bad": "good"}, "'good' of label bad reads like a word of label good"),
        ({}, {"good": "", "bad": "bad"}, "label good has an empty word. Found ''"),
        ({}, {"good": [], "bad": "bad"}, "label good should have a word. Found none"),
        ({}, {"good": [" "], "bad": "bad"}, "label good has an empty word. Found ' '"),
        ({}, {"good": "zebra", "bad": "bad"}, "the tokenizer doesn't know 'zebra' of label good"),
        ({}, {"good": "good"}, r"head.words.mood should name the labels \['good', 'bad'\]. Found \['good'\]"),
        ({"phrase": "{text} it is"}, None, "head=cloze needs a prompt that says once where the word stands"),
        ({"phrase": "{mask} {text} {mask}"}, None, "head=cloze needs a prompt that says once where the word stands"),
        ({"kind": Tagging}, None, "head=cloze answers classification tasks. Task mood is tagging"),
    ],
)
def test_words_that_cannot_be_told_apart_are_refused_when_the_model_is_built(tiny_model, changed, words, message):
    with pytest.raises(MtlError, match=message):
        label_words(task(**changed), words, PretrainedTokenizer(str(tiny_model("bert"))), Phrase(), False)


def test_a_decoder_has_no_mask_and_a_trunk_from_scratch_no_words(tiny_model):
    with pytest.raises(MtlError, match=r"a decoder answers after its prompt: take \{mask\} out"):
        label_words(task(), None, PretrainedTokenizer(str(tiny_model("gpt2"))), Phrase(), True)
    with pytest.raises(MtlError, match="head=cloze needs a trunk with a language model"):
        label_words(task(), None, Vocabulary("words", ("a",)), Keyword(), False)


@pytest.mark.parametrize("slot", ["before", "after"])
@pytest.mark.parametrize(("before", "after"), [("{mask} : ", ""), ("", " it is {mask}")])
def test_a_learned_prompt_keeps_its_place_by_the_text_beside_masks(tiny_model, before, after, slot):
    """Oracle: transformers' own model on the row with as many masks as the word has pieces, the vectors among them."""
    transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")
    from mtl.model.pretrained.trunk import Pretrained

    folder = tiny_model("bert")
    tokenizer = PretrainedTokenizer(str(folder))
    trunk = Pretrained(0, False, str(folder), False, language_model=True)
    prompt = Soft(NoPrompt(), 2, slot=slot)
    prompt.make(trunk, {"mood": task()}, tokenizer, 0)
    (vectors,) = prompt.parameters()
    torch.nn.init.normal_(vectors)
    cloze = Cloze({"mood": WORDS["mood"]}, tokenizer.mask, len(tokenizer.end))
    model = MultiTaskModel(trunk, {"mood": task().kind}, prompt=prompt, cloze=cloze).eval()
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = ["the book was good", "it is"]
    inputs = Inputs.build(texts, None, lambda text: (before, after), tokenizer, 40)
    found = model(Batch.of(inputs, "mood"))["mood"]
    for line, text in enumerate(texts):
        for label, words in enumerate(WORDS["mood"]):
            scores = []
            for word in words:
                parts = [
                    tokenizer.encode_prompt(part.replace("{mask}", "[MASK]" * len(word))) for part in (before, after)
                ]
                parts.insert(1, tokenizer.encode(text))
                parts = [torch.from_numpy(part).long() for part in (tokenizer.start, *parts, tokenizer.end)]
                embedded = [theirs.get_input_embeddings()(part) for part in parts]
                embedded.insert(2 if slot == "before" else 3, vectors)
                ids = torch.cat([*parts[: (at := 2 if slot == "before" else 3)], torch.tensor([0, 0]), *parts[at:]])
                places = (ids == tokenizer.mask).nonzero().flatten()
                logits = theirs(inputs_embeds=torch.cat(embedded)[None]).logits[0].log_softmax(-1)
                scores.append(sum(logits[place, token] for place, token in zip(places, word, strict=True)))
            expected = torch.stack(scores).exp().mean().log()
            torch.testing.assert_close(found[line, label], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("member", [Attentional, partial(FeatureVector, features="embedding")])
@pytest.mark.parametrize(("before", "after"), [("{mask} : ", ""), ("", " it is {mask}")])
def test_a_prompt_of_the_text_is_the_same_one_however_many_masks_stand_beside_it(tiny_model, member, before, after):
    """Oracle: the batch that nothing was put into."""
    pytest.importorskip("transformers", reason="the extra llm is not installed")
    from mtl.model.pretrained.trunk import Pretrained

    folder = tiny_model("bert")
    tokenizer = PretrainedTokenizer(str(folder))
    trunk = Pretrained(0, False, str(folder), False, language_model=True)
    prompt = member(NoPrompt(), 2)
    prompt.make(trunk, {"mood": task()}, tokenizer, 0)
    for parameter in prompt.parameters():
        torch.nn.init.normal_(parameter)
    cloze = Cloze({"mood": WORDS["mood"]}, tokenizer.mask, len(tokenizer.end))
    texts = ["the book was good", "it is"]
    batch = Batch.of(Inputs.build(texts, None, lambda text: (before, after), tokenizer, 40), "mood")
    expanded = cloze.expand(batch)
    variants = len(cloze.plans["mood"].variants)
    assert variants > 1
    plain, found = (
        prompt.vectors("mood", Read(part, trunk.embed(part.ids), torch.arange(len(part.ids))))
        for part in (batch, expanded)
    )
    assert not torch.allclose(plain[0], plain[1])
    torch.testing.assert_close(found, plain.repeat_interleave(variants, 0))
