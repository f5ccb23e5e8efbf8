"""A decoder says the answers: loss, greedy decoding and reading against transformers and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")

from mtl.data.batch import Batch, TaskRows  # noqa: E402
from mtl.data.inputs import Inputs  # noqa: E402
from mtl.data.kinds import Classification, MultiLabel  # noqa: E402
from mtl.data.kinds.spoken import Spoken  # noqa: E402
from mtl.data.task import Task  # noqa: E402
from mtl.data.tokenizer import PretrainedTokenizer  # noqa: E402
from mtl.model.cloze.generation import Answers, Generation  # noqa: E402
from mtl.model.multitask import MultiTaskModel  # noqa: E402
from mtl.model.pretrained.trunk import Pretrained  # noqa: E402
from mtl.model.prompt.attentional import Attentional  # noqa: E402
from mtl.model.prompt.feature_vector import FeatureVector  # noqa: E402
from mtl.model.prompt.inserted import Read  # noqa: E402
from mtl.model.prompt.prefix import Prefix  # noqa: E402
from mtl.model.prompt.soft import Soft  # noqa: E402
from mtl.prompts.none import NoPrompt  # noqa: E402

DECODERS = ("gpt2", "llama", "qwen2")
MOODS = Answers([[(5, 6, 7)], [(8,), (9, 10)]], {"good": 0, "bad": 1, "awful": 1})
TOPICS = Answers([[(5,)], [(6, 7)], [(8,)]], {"a": 0, "b": 1, "c": 2}, ((9, 10), "none"), (11,))
KINDS = {"mood": Classification(("good", "bad")), "topics": MultiLabel(("a", "b", "c"))}
close = {"atol": 1e-5, "rtol": 1e-5}


def model_of(folder, prompt=None):
    tokenizer = PretrainedTokenizer(str(folder))
    torch.manual_seed(0)
    trunk = Pretrained(0, False, str(folder), True, language_model=True)
    tasks = {name: Task(name, kind) for name, kind in KINDS.items()}
    if prompt is not None:
        prompt.make(trunk, tasks, tokenizer, 0)
        with torch.no_grad():
            for parameter in prompt.parameters():
                parameter += torch.randn(parameter.shape)
    said = Generation({"mood": MOODS, "topics": TOPICS}, tokenizer.stop, len(tokenizer.end), tokenizer.decode)
    kinds = {name: Spoken(kind) for name, kind in KINDS.items()}
    return MultiTaskModel(trunk, kinds, prompt=prompt, generation=said).eval(), tokenizer


def batch_of(tokenizer):
    """Three texts of different lengths; one task asks for two of them, the other for all, one twice."""
    texts = ["the book was good", "it is", "a terrible story about the book"]
    inputs = Inputs.build(texts, None, lambda text: ("", " it is"), tokenizer, 40)
    padded, lengths = torch.from_numpy(inputs.pad(np.arange(3), 30)), torch.from_numpy(inputs.lengths)
    topics = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
    shares = {
        "mood": TaskRows(torch.tensor([2, 0]), torch.tensor([0, 1])),
        "topics": TaskRows(torch.tensor([0, 1, 2, 0]), topics),
    }
    return Batch(padded, lengths, shares, torch.from_numpy(inputs.bounds(np.arange(3))))


def row_of(batch, place):
    return batch.ids[place, : batch.lengths[place]].tolist()


SAID = {"mood": [(5, 6, 7), (8,)], "topics": [(5, 11, 8), (9, 10), (6, 7), (5, 11, 6, 7, 11, 8)]}


@pytest.mark.parametrize("kind", DECODERS)
def test_the_loss_of_a_row_is_transformers_own_for_the_answer_and_the_end(tiny_model, kind):
    model, tokenizer = model_of(tiny_model(kind))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tiny_model(kind), dtype=torch.float32).eval()
    batch = batch_of(tokenizer)
    found = model(batch)
    for name, rows in batch.tasks.items():
        losses = []
        for place, answer in zip(rows.inputs.tolist(), SAID[name], strict=True):
            text, goal = row_of(batch, place), [*answer, tokenizer.stop]
            labels = torch.tensor([[-100] * len(text) + goal])
            losses.append(theirs(input_ids=torch.tensor([text + goal]), labels=labels).loss)
        torch.testing.assert_close(found[name][:, 0], torch.stack(losses), **close)
        torch.testing.assert_close(Spoken(KINDS[name]).loss(found[name], rows.targets), torch.stack(losses).mean())


@pytest.mark.parametrize("kind", DECODERS)
def test_answers_are_those_of_transformers_greedy_generate(tiny_model, kind):
    model, tokenizer = model_of(tiny_model(kind))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tiny_model(kind), dtype=torch.float32).eval()
    batch = batch_of(tokenizer)
    for name, most in {"mood": 4, "topics": 7}.items():
        assert model.generation.answers[name].longest + 1 == most
        early = model.generation.generate(name, batch, model.trunk, model.features)[0, 1].item()
        for end in (tokenizer.stop, early):  # a row that ends before others
            model.generation.end = end
            found = model.generation.generate(name, batch, model.trunk, model.features)
            for line, place in enumerate(batch.tasks[name].inputs.tolist()):
                text = torch.tensor([row_of(batch, place)])
                limits = {"max_new_tokens": most, "do_sample": False, "eos_token_id": end, "pad_token_id": 1}
                expected = theirs.generate(text, attention_mask=torch.ones_like(text), **limits)[0, text.shape[1] :]
                assert found[line, : len(expected)].tolist() == expected.tolist()
                assert (found[line, len(expected) :] == end).all()
        assert end in found[0, :2]
        model.generation.end = tokenizer.stop


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("prompt", [lambda: Soft(NoPrompt(), {"mood": 2, "topics": 4}), lambda: Prefix(NoPrompt(), 3)])
def test_behind_a_learned_prompt_the_cache_says_what_reading_everything_again_says(tiny_model, kind, prompt):
    model, tokenizer = model_of(tiny_model(kind), prompt())
    batch, bare = batch_of(tokenizer), model_of(tiny_model(kind))[0]
    for name, rows in batch.tasks.items():
        found = model.generation.generate(name, batch, model.trunk, model.features)
        for line, place in enumerate(rows.inputs.tolist()):
            said = row_of(batch, place)
            for token in found[line].tolist():
                alone = {name: TaskRows(None, rows.targets[:1])}
                again = Batch(torch.tensor([said]), torch.tensor([len(said)]), alone)
                assert token == model.trunk.answer(model.features(again)[0, -1]).argmax()
                if token == tokenizer.stop:
                    break
                said.append(token)
    assert not torch.equal(model(batch)["mood"], bare(batch)["mood"])


@pytest.mark.parametrize("kind", DECODERS)
def test_behind_a_soft_prompt_answers_are_transformers_own_from_the_same_vectors(tiny_model, kind):
    model, tokenizer = model_of(tiny_model(kind), prompt := Soft(NoPrompt(), 3))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tiny_model(kind), dtype=torch.float32).eval()
    batch = batch_of(tokenizer)
    found = model.generation.generate("mood", batch, model.trunk, model.features)
    for line, place in enumerate(batch.tasks["mood"].inputs.tolist()):
        tokens = theirs.get_input_embeddings()(torch.tensor(row_of(batch, place)))
        placed = torch.cat((prompt.rows["mood"].vectors, tokens))[None]
        limits = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": tokenizer.stop, "pad_token_id": 1}
        expected = theirs.generate(inputs_embeds=placed, attention_mask=torch.ones(placed.shape[:2]), **limits)[0]
        assert found[line, : len(expected)].tolist() == expected.tolist()


@pytest.mark.parametrize(
    "prompt",
    [lambda: Attentional(NoPrompt(), 3, sources=2), lambda: FeatureVector(NoPrompt(), 3, features="embedding")],
)
def test_a_prompt_made_of_the_text_knows_nothing_of_the_answer(tiny_model, prompt):
    """Oracle: transformers' own loss behind the vectors that the text alone gives."""
    model, tokenizer = model_of(tiny_model("llama"), table := prompt())
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tiny_model("llama"), dtype=torch.float32).eval()
    batch = batch_of(tokenizer)
    with torch.no_grad():
        for parameter in table.parameters():
            parameter *= 4  # so that a mixture of prompts leans to one
    vectors = table.vectors("mood", Read(batch, model.trunk.embed(batch.ids), batch.tasks["mood"].inputs))
    losses = []
    for place, answer, before in zip(batch.tasks["mood"].inputs.tolist(), SAID["mood"], vectors, strict=True):
        text, goal = row_of(batch, place), [*answer, tokenizer.stop]
        placed = torch.cat((before, theirs.get_input_embeddings()(torch.tensor(text + goal))))[None]
        labels = torch.tensor([[-100] * (3 + len(text)) + goal])
        losses.append(theirs(inputs_embeds=placed, labels=labels).loss)
    torch.testing.assert_close(model(batch)["mood"][:, 0], torch.stack(losses), **close)


def test_special_tokens_after_a_text_make_room_for_the_answer(tiny_model):
    model, tokenizer = model_of(tiny_model("llama"))
    batch = batch_of(tokenizer)
    plain = model(batch)
    before = model.generation.generate("mood", batch, model.trunk, model.features)
    model.generation.after = 2
    ids, lengths = torch.nn.functional.pad(batch.ids, (0, 2)), batch.lengths
    for place, length in enumerate(lengths.tolist()):
        ids[place, length : length + 2] = 3
    longer = Batch(ids, lengths + 2, batch.tasks)
    for name, found in model(longer).items():
        torch.testing.assert_close(found, plain[name], **close)
    assert torch.equal(model.generation.generate("mood", longer, model.trunk, model.features), before)


@pytest.mark.parametrize(
    ("answers", "text", "expected"),
    [
        (MOODS, " good", [1, 0]),
        (MOODS, "awful ", [0, 1]),
        (MOODS, "good bad", [-1, -1]),
        (MOODS, "", [-1, -1]),
        (MOODS, "Good", [-1, -1]),
        (TOPICS, " a, c", [1, 0, 1]),
        (TOPICS, "b", [0, 1, 0]),
        (TOPICS, " none", [0, 0, 0]),
        (TOPICS, "a, none", [-1, -1, -1]),
        (TOPICS, "a,", [-1, -1, -1]),
    ],
)
def test_what_is_said_is_a_label_only_if_it_is_its_word(answers, text, expected):
    assert answers.read(text).tolist() == expected


def test_what_is_no_label_is_wrong_and_counted():
    kind, targets = Spoken(KINDS["mood"]), torch.tensor([0, 1, 0, 1, 0])
    said = torch.tensor([[1.0, 0, 9], [1, 0, 9], [-1, -1, 9], [0, 1, 9], [-1, -1, 9]])
    scores = kind.metrics()
    scores.update(said[:2], targets[:2])
    scores.update(said[2:], targets[2:])
    found, answered = scores.compute(), [0, 0, 2, 1, 2]
    assert found["accuracy"] == pytest.approx(accuracy_score(targets, answered))
    assert found["macro_f1"] == pytest.approx(f1_score(targets, answered, labels=[0, 1], average="macro"))
    assert found["format_failures"] == pytest.approx(2 / 5)
    assert [kind.answer(row).value for row in said] == ["good", "good", None, "bad", None]


def test_several_labels_are_judged_as_sets_and_a_failure_is_none_of_them():
    kind = Spoken(KINDS["topics"])
    targets = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 1]])
    said = torch.tensor([[1.0, 1, 0], [0, 0, 0], [-1, -1, -1]])
    scores = kind.metrics()
    scores.update(said, targets)
    found, clear = scores.compute(), said.clamp(min=0)
    for mean in ("micro", "macro"):
        assert found[f"{mean}_f1"] == pytest.approx(f1_score(targets, clear, average=mean, zero_division=0))
    assert found["format_failures"] == pytest.approx(1 / 3)
    assert [kind.answer(row).value for row in said] == [["a", "b"], [], None]
