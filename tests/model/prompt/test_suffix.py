"""A learned prompt behind a text that a decoder reads, against transformers' own forward with the vectors in place."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mtl.data.batch import Batch, TaskRows, collate
from mtl.data.kinds import Classification, MultiLabel, Regression
from mtl.data.kinds.spoken import Spoken
from mtl.data.task import Task
from mtl.data.tokenizer import PretrainedTokenizer
from mtl.errors import MtlError
from mtl.model.cloze.cloze import Cloze
from mtl.model.cloze.generation import Answers, Generation
from mtl.model.lstm import LSTM
from mtl.model.multitask import MultiTaskModel
from mtl.model.prompt.multitask import Multitask
from mtl.model.prompt.soft import Soft
from mtl.prompts.none import NoPrompt

DECODERS = ("gpt2", "llama", "qwen2")
PLACES = {"mood": 2, "stars": 4, "topics": 3}
KINDS = {"mood": Classification(("a", "b", "c")), "stars": Regression(), "topics": MultiLabel(("a", "b"))}
WORDS = {"mood": [[(5,), (6, 7)], [(8, 9, 10)]], "size": [[(6,)], [(6, 7, 11)], [(12,)]]}
close = {"atol": 1e-5, "rtol": 1e-4}


@pytest.fixture(params=DECODERS)
def kind(request):
    pytest.importorskip("transformers", reason="the extra llm is not installed")
    return request.param


def built(folder, places, kinds=None, slot="end", cloze=None, generation=None, pooling="last", **given):
    """A frozen decoder with a suffix for each task, away from its start."""
    from mtl.model.pretrained.trunk import Pretrained

    torch.manual_seed(0)
    trunk = Pretrained(0, False, str(folder), True, pooling=pooling, language_model=bool(cloze or generation), **given)
    tasks = {name: Task(name, Classification(("a", "b"))) for name in places}
    prompt = Soft(NoPrompt(), places, slot=slot)
    prompt.make(trunk, tasks, PretrainedTokenizer(str(folder)), 0)
    with torch.no_grad():
        for parameter in prompt.parameters():
            parameter += 0.5 * torch.randn(parameter.shape)
    kinds = kinds or {name: task.kind for name, task in tasks.items()}
    return MultiTaskModel(trunk, kinds, prompt=prompt, cloze=cloze, generation=generation).eval()


def asked(shares, lengths=(3, 7, 1, 5, 2, 4)):
    """A batch without words behind its texts; a text has one prompt, so it is of one task."""
    torch.manual_seed(1)
    ids, lengths = torch.randint(5, 25, (len(lengths), max(lengths))), torch.tensor(lengths)
    tasks = {name: TaskRows(torch.tensor(rows), goal) for name, (rows, goal) in shares.items()}
    return Batch(ids, lengths, tasks, torch.stack((torch.zeros_like(lengths), lengths), dim=1))


def own(folder, auto="AutoModel"):
    import transformers

    return getattr(transformers, auto).from_pretrained(folder, dtype=torch.float32).eval()


def read(theirs, rows, side):
    """What transformers' own model makes of rows of embedded tokens, padded on one side: of each row its own places."""
    longest = max(map(len, rows))
    padding = [(0, 0, longest - len(row), 0) if side == "left" else (0, 0, 0, longest - len(row)) for row in rows]
    embedded = torch.stack([F.pad(row, pad) for row, pad in zip(rows, padding, strict=True)])
    there = torch.stack([F.pad(torch.ones(len(row)), pad[2:]) for row, pad in zip(rows, padding, strict=True)])
    positions = (there.cumsum(1) - 1).clamp(min=0).long()
    found = theirs(inputs_embeds=embedded, attention_mask=there.long(), position_ids=positions)[0]
    return [states[mask.bool()] for states, mask in zip(found, there, strict=True)]


def placed(theirs, batch, at, *behind):
    """The embedded tokens of a text, and then these vectors."""
    return torch.cat((theirs.get_input_embeddings()(batch.ids[at, : batch.lengths[at]]), *behind))


def gradients(model, losses):
    """Of the suffix of each task."""
    rows = {name: model.prompt.rows[name].vectors for name in losses}
    return dict(zip(rows, torch.autograd.grad(sum(losses.values()), list(rows.values())), strict=True))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(("slot", "pooling"), [("end", "last"), ("end", "mean"), ("after", "max"), ("end", "first")])
def test_a_head_reads_the_last_place_of_the_suffix(tiny_model, kind, side, slot, pooling):
    model, theirs = built(tiny_model(kind), PLACES, KINDS, slot, pooling=pooling), own(tiny_model(kind))
    goals = {
        "mood": ([4, 1], torch.tensor([0, 2])),
        "stars": ([3, 0], torch.tensor([0.5, -1])),
        "topics": ([2, 5, 2], torch.tensor([[1.0, 0], [0, 0], [1, 1]])),
    }
    batch = asked(goals)
    found = model(batch)
    losses = {name: KINDS[name].loss(found[name], goal) for name, (_, goal) in goals.items()}
    suffixes = {n: model.prompt.rows[n].vectors.detach().clone().requires_grad_() for n in goals}
    theirs_too = {}
    for name, (rows, goal) in goals.items():
        states = read(theirs, [placed(theirs, batch, row, suffixes[name]) for row in rows], side)
        logits = model.heads[name](torch.stack([state[-1] for state in states]))
        torch.testing.assert_close(found[name], logits, **close)
        theirs_too[name] = KINDS[name].loss(logits, goal)
    expected = torch.autograd.grad(sum(theirs_too.values()), list(suffixes.values()))
    for got, wanted in zip(gradients(model, losses).values(), expected, strict=True):
        assert (wanted.abs().sum(1) > 0).all()
        torch.testing.assert_close(got, wanted, **close)


@pytest.mark.parametrize("slot", ["end", "after"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_label_words_follow_the_suffix(tiny_model, kind, side, slot):
    model = built(tiny_model(kind), {"mood": 2, "size": 3}, slot=slot, cloze=Cloze(WORDS, None, 0))
    theirs = own(tiny_model(kind), "AutoModelForCausalLM")
    goals = {"mood": ([4, 1, 3], torch.tensor([0, 1, 1])), "size": ([2, 0], torch.tensor([2, 1]))}
    batch = asked(goals)
    found = model(batch)
    losses = {name: F.cross_entropy(found[name], goal) for name, (_, goal) in goals.items()}
    suffixes = {n: model.prompt.rows[n].vectors.detach().clone().requires_grad_() for n in goals}
    theirs_too = {}
    for name, (rows, goal) in goals.items():
        scores = []
        for words in WORDS[name]:
            said = []
            for word in words:
                whole = [
                    placed(theirs, batch, row, suffixes[name], theirs.get_input_embeddings()(torch.tensor(word)))
                    for row in rows
                ]
                logits = [row.log_softmax(-1) for row in read(theirs, whole, side)]
                said.append(
                    torch.stack([sum(row[i - len(word) - 1, token] for i, token in enumerate(word)) for row in logits])
                )
            scores.append(torch.stack(said).exp().mean(0).log())
        torch.testing.assert_close(found[name], torch.stack(scores, dim=1), atol=1e-4, rtol=1e-4)
        theirs_too[name] = F.cross_entropy(torch.stack(scores, dim=1), goal)
    expected = torch.autograd.grad(sum(theirs_too.values()), list(suffixes.values()))
    for got, wanted in zip(gradients(model, losses).values(), expected, strict=True):
        assert (wanted.abs().sum(1) > 0).all()
        torch.testing.assert_close(got, wanted, **close)


def test_special_tokens_behind_a_text_are_behind_suffix_and_words_too(tiny_model):
    pytest.importorskip("transformers", reason="the extra llm is not installed")
    model = built(tiny_model("llama"), {"mood": 2, "size": 3}, cloze=Cloze(WORDS, None, 0))
    batch = asked({"mood": ([4, 1, 3], torch.zeros(3)), "size": ([2, 0], torch.zeros(2))})
    plain = model(batch)
    model.cloze.end = 2
    ids = F.pad(batch.ids, (0, 2))
    for row, length in enumerate(batch.lengths.tolist()):
        ids[row, length : length + 2] = 3
    for name, found in model(replace(batch, ids=ids, lengths=batch.lengths + 2)).items():
        torch.testing.assert_close(found, plain[name], **close)


def test_an_answer_follows_the_suffix(tiny_model, kind):
    folder, places = tiny_model(kind), {"mood": 2, "size": 3}
    tokenizer = PretrainedTokenizer(str(folder))
    answers = Answers([[(5, 6, 7)], [(8,)]], {"good": 0, "bad": 1})
    generation = Generation(dict.fromkeys(places, answers), tokenizer.stop, 0, tokenizer.decode)
    kinds = dict.fromkeys(places, Spoken(Classification(("good", "bad"))))
    model = built(folder, places, kinds, generation=generation)
    theirs = own(folder, "AutoModelForCausalLM")
    goals = {"mood": ([4, 1, 3], torch.tensor([0, 1, 1])), "size": ([2, 0], torch.tensor([1, 0]))}
    batch = asked(goals)
    found = model(batch)
    suffixes = {n: model.prompt.rows[n].vectors.detach().clone().requires_grad_() for n in goals}
    theirs_too = {}
    for name, (rows, goal) in goals.items():
        said = generation.generate(name, batch, model.trunk, model.features)
        losses = []
        for line, row in enumerate(rows):
            told = placed(theirs, batch, row, suffixes[name])
            limits = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": tokenizer.stop, "pad_token_id": 1}
            expected = theirs.generate(inputs_embeds=told[None], attention_mask=torch.ones(1, len(told)), **limits)[0]
            assert said[line, : len(expected)].tolist() == expected.tolist()
            wanted = [*answers.of(goal[line]), tokenizer.stop]
            whole = torch.cat((told, theirs.get_input_embeddings()(torch.tensor(wanted))))
            labels = torch.tensor([[-100] * len(told) + wanted])
            losses.append(theirs(inputs_embeds=whole[None], labels=labels).loss)
        torch.testing.assert_close(found[name][:, 0], torch.stack(losses), **close)
        theirs_too[name] = torch.stack(losses).mean()
    expected = torch.autograd.grad(sum(theirs_too.values()), list(suffixes.values()))
    for got, wanted in zip(
        gradients(model, {name: kinds[name].loss(found[name], goal) for name, (_, goal) in goals.items()}).values(),
        expected,
        strict=True,
    ):
        assert (wanted.abs().sum(1) > 0).all()
        torch.testing.assert_close(got, wanted, **close)


@pytest.mark.parametrize("cloze", [None, Cloze({"mood": WORDS["mood"], "stars": WORDS["size"]}, None, 0)])
def test_a_mixed_batch_equals_the_batch_of_each_task(tiny_model, kind, cloze):
    model = built(tiny_model(kind), {"mood": 2, "stars": 4}, cloze=cloze)
    goal = torch.zeros(0)
    batch = asked({"mood": ([0, 2, 3], goal), "stars": ([5, 4, 1], goal)})
    mixed = model(batch)
    for name, rows in batch.tasks.items():
        alone = model(batch.only(rows.inputs, {name: TaskRows(None, goal)}))
        torch.testing.assert_close(mixed[name], alone[name], **close)


def one_way(size):
    return LSTM(size, True, units=8, embedding=6, bidirectional=False)


def test_an_lstm_of_one_direction_reads_the_suffix_last(made, rows):
    """Oracle: the trunk on the text and the words whose embeddings the vectors are."""
    names = ["mood", "stars", "topics"]
    model, tasks = made(Soft(NoPrompt(), 3, ["甲乙", "丁"], "end"), one_way, names, moved=False)
    _, batch = rows(tasks, {"mood": 7})
    words = model.prompt.rows["mood"].vectors
    number = [(model.trunk.embedding.weight == word).all(1).nonzero().item() for word in words]
    for ids, length, found in zip(batch.ids, batch.lengths.tolist(), model.features(batch), strict=True):
        whole = torch.tensor([ids[:length].tolist() + number])
        torch.testing.assert_close(found, model.trunk(whole, torch.tensor([length + 3]))[0, -1], **close)


def test_before_the_words_of_a_phrase_the_trunk_pools_as_ever(made, four_kinds):
    from mtl.prompts.phrase import Phrase

    model, tasks = made(Soft(Phrase(), 2, slot="after"), one_way, ["stars", "topics"])
    batch = collate({"stars": tasks["stars"].labelled.rows["train"][:5]}, tasks)
    features = model.prompt(model.trunk, batch)
    assert (batch.bounds[:, 1] < batch.lengths).all()
    for row, (place, length) in enumerate(zip(batch.bounds[:, 1].tolist(), batch.lengths.tolist(), strict=True)):
        embedded = model.trunk.embed(batch.ids[row, :length])
        vectors = model.prompt.rows["stars"].vectors
        whole = torch.cat((embedded[:place], vectors, embedded[place:]))[None]
        states = model.trunk.encode(
            whole, torch.ones(whole.shape[:2], dtype=torch.bool), torch.arange(length + 2)[None]
        )
        own = torch.cat((states[0, :place], states[0, place + 2 :]))
        torch.testing.assert_close(features[row, :length], own, **close)
        torch.testing.assert_close(model.features(batch)[row], own.amax(0), **close)


PHRASES = (
    "{text}",
    "甲{text}",
    "{text}乙",
    "{prompt}乙{text}",
    "甲{prompt}乙{text}",
    "{text}{prompt}",
    "{text}乙{prompt}",
)
SLOTS = ("start", "before", "inside", "after", "end")
SAID = [(slot, phrase) for slot in SLOTS for phrase in PHRASES if slot != "inside" or "{prompt}" in phrase]


@pytest.mark.parametrize(("slot", "phrase"), SAID)
@pytest.mark.parametrize("trunk", [one_way, "lstm"], ids=["causal", "lstm"])
def test_what_a_first_token_does_not_know_of_has_no_gradient(made, trunk, slot, phrase):
    from mtl.prompts.phrase import Phrase

    model, tasks = made(Soft(Phrase({"stars": phrase}), 2, slot=slot), trunk, ["stars"])
    model.trunk.pool = lambda features, lengths: features[:, 0]
    batch = collate({"stars": tasks["stars"].labelled.rows["train"][:3]}, tasks)
    model(batch)["stars"].sum().backward()
    found = model.prompt.rows["stars"].vectors.grad
    assert model.prompt.unread(model.trunk, batch).tolist() == 3 * [not found.any()]


@pytest.mark.parametrize(
    "prompt", [lambda: Soft(NoPrompt(), 2, slot="after"), lambda: Multitask(NoPrompt(), slot="end")]
)
def test_tags_of_a_causal_trunk_can_have_no_prompt_behind_them(made, prompt):
    with pytest.raises(
        MtlError, match=r"slot should be start or before: task tags tags tokens, and in.*Found '(after|end)'"
    ):
        made(prompt(), one_way)
    made(prompt(), "lstm")


def test_tags_of_a_causal_trunk_can_have_one_inside_words_before_them_only(made):
    from mtl.prompts.phrase import Phrase

    def asked(phrase):
        return Soft(Phrase({"tags": phrase}), 2, slot="inside")

    with pytest.raises(MtlError, match=r"task tags tags tokens, and in.*Found 'inside'"):
        made(asked("甲{text}乙{prompt}丁"), one_way, ["tags"])
    made(asked("甲{prompt}乙{text}"), one_way, ["tags"])
    made(asked("甲{text}乙{prompt}丁"), "lstm", ["tags"])
