"""Conversations of rows: what a decoder reads, and what is made of its answers."""

import math
import re

import numpy as np
import pytest
import torch

from mtl.data.task import TaskSpec
from mtl.data.tokenizer import PretrainedTokenizer
from mtl.errors import MtlError
from mtl.model.cloze.cloze import Cloze
from mtl.model.cloze.words import label_words
from mtl.model.multitask import MultiTaskModel
from mtl.model.pretrained.trunk import Pretrained
from mtl.model.prompt.soft import Soft
from mtl.prompts.phrase import Phrase
from mtl.training.context_switch import Asked, measure, score
from mtl.training.conversation import Histories, after, random_of, told

transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")
WORDS = {"mood": {"good": "great", "bad": "not good"}, "kind": {"book": ["book", "story"], "film": "it"}}
PHRASES = {"mood": "{text} it is", "kind": "the {text} is a"}
BITS = ["the book", "nice", "a story", "was awful", "bad", "about it", "terrible", "good"]


@pytest.fixture(scope="module")
def specs(literal):
    generator = np.random.default_rng(3)

    def texts():
        return [" ".join(generator.choice(BITS, 3)) for _ in range(30)]

    def labels(names):
        return [names[i] for i in generator.integers(0, 2, 30)]

    splits = ["train", "train", "train", "val", "test"] * 6
    return {
        "mood": TaskSpec("mood", "classification", literal(texts(), splits, label=labels(["good", "bad"]))),
        "kind": TaskSpec("kind", "classification", literal(texts(), splits, label=labels(["book", "film"]))),
    }


class Everything:
    """A decoder with cloze heads for two tasks, and all that belongs to it."""

    def __init__(self, folder, specs, prompt=None):
        self.rows = {name: spec.load() for name, spec in specs.items()}
        tasks = {name: rows.task for name, rows in self.rows.items()}
        self.encoder, self.prompt, self.folder = PretrainedTokenizer(str(folder)), prompt or Phrase(PHRASES), folder
        words = {name: label_words(task, WORDS[name], self.encoder, self.prompt, True) for name, task in tasks.items()}
        cloze = Cloze(words, None, len(self.encoder.end))
        trunk = Pretrained(len(self.encoder), False, str(folder), causal=True, language_model=True)
        if isinstance(self.prompt, Soft):
            self.prompt.make(trunk, tasks, self.encoder, 0)
        table = self.prompt if isinstance(self.prompt, Soft) else None
        self.model = MultiTaskModel(trunk, {n: t.kind for n, t in tasks.items()}, prompt=table, cloze=cloze, bias=True)
        self.model.eval()

    def histories(self, name, turns, count, seed=0):
        plan = self.model.heads[name].plan
        return Histories(self.rows[name], plan, self.prompt, self.encoder, 30, turns, count, seed)

    def measure(self, turns=(1, 2), rows=3, split="test", seed=0):
        asked = Asked(turns, rows, split, seed)
        return measure(self.model, self.rows, self.prompt, self.encoder, 30, asked)


def label_of(rows, row):
    return rows.task.kind.labels[int(rows.targets[row])]


def first(words):
    return words if isinstance(words, str) else words[0]


def plain(everything, history, row, turns):
    """Turns of `kind` as one text, written out by hand."""
    lines, rows = [], everything.rows["kind"]
    for other in history.rows[row][:turns]:
        text, word = rows.corpus.texts[other], first(WORDS["kind"][label_of(rows, other)])
        lines.append(f"the {text} is a {word}\n")
    return "".join(lines)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_scores_are_those_of_the_plain_text_through_transformers(tiny_model, specs, kind):
    made = Everything(tiny_model(kind), specs)
    rows = made.rows["mood"]
    test = rows.rows["test"][:4]
    history = made.histories("kind", 2, len(test))
    inputs = after(told(rows, test, made.prompt, made.encoder, 30), history.ids(2), made.encoder)
    found = score(made.model, "mood", inputs)
    tokenizer = transformers.AutoTokenizer.from_pretrained(made.folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(made.folder).eval()
    firsts = {tokenizer(" " + word, add_special_tokens=False)["input_ids"][0] for word in WORDS["mood"].values()}
    for place, row in enumerate(test):
        text = plain(made, history, place, 2) + f"{rows.corpus.texts[row]} it is"
        begin = tokenizer(text, return_tensors="pt")["input_ids"]
        for column, label in enumerate(rows.task.kind.labels):
            whole = tokenizer(f"{text} {WORDS['mood'][label]}", return_tensors="pt")["input_ids"]
            assert whole[0, : begin.shape[1]].tolist() == begin[0].tolist()  # the cut is where it is in the text
            with torch.no_grad():
                said = model(whole).logits[0].log_softmax(-1)
            steps = range(begin.shape[1] - 1, whole.shape[1] - 1)
            expected = sum(float(said[step, whole[0, step + 1]]) for step in steps)
            assert float(found.said[place, column]) == pytest.approx(expected, abs=2e-4)
        with torch.no_grad():
            following = int(model(begin).logits[0, -1].argmax())
        assert bool(found.strays[place]) == (following not in firsts)


def test_lines_are_the_definitions_over_rows_scored_one_by_one(tiny_model, specs):
    made = Everything(tiny_model("gpt2"), specs)
    rows, head = made.rows["mood"], made.model.heads["mood"]
    chosen = random_of(0, "rows", "mood").permutation(rows.rows["test"])
    alone, later, own = [], [], []
    both = (made.histories(name, 2, len(chosen)).ids(2) for name in ("kind", "mood"))
    for row, history, same in zip(chosen, *both, strict=True):
        inputs = told(rows, np.array([row]), made.prompt, made.encoder, 30)
        alone.append(score(made.model, "mood", inputs).said[0])
        later.append(score(made.model, "mood", after(inputs, [history], made.encoder)).said[0])
        own.append(score(made.model, "mood", after(inputs, [same], made.encoder)).said[0])
    with torch.no_grad():  # calibration and bias, such that the answers hang in the balance
        head.prior.copy_(torch.tensor([0.3, -0.2]))
        head.bias.copy_(head.prior - torch.stack([*alone, *later]).median(0).values)
    answers = [[int((said - head.prior + head.bias).argmax()) for said in some] for some in (alone, later)]
    true = [int(rows.targets[row]) for row in chosen]
    assert answers[0] != answers[1]
    lines = made.measure(rows=100)
    assert [(line.history, line.task, line.turns) for line in lines] == [
        *(("", "mood", 0), ("", "kind", 0)),
        *((i, j, k) for i in ("mood", "kind") for j in ("mood", "kind") for k in (1, 2)),
    ]
    assert {line.rows for line in lines} == {6}  # all that the split has
    (line,) = [line for line in lines if (line.history, line.task, line.turns) == ("kind", "mood", 2)]
    hits = [sum(a == t for a, t in zip(some, true, strict=True)) / 6 for some in answers]
    assert line.score == pytest.approx(hits[1])
    plain = [int(said.argmax()) == label for said, label in zip(later, true, strict=True)]
    assert line.uncalibrated == pytest.approx(sum(plain) / 6)
    assert line.change == pytest.approx(100 * (hits[1] - hits[0]) / hits[0], nan_ok=True)
    named = {"zero_shot": (answers[0], answers[0]), "confidence": answers, "loss": (true, true)}
    for name, (before, then) in named.items():
        differences = [float(alone[n][before[n]] - later[n][then[n]]) for n in range(6)]
        assert getattr(line, name).mean == pytest.approx(sum(differences) / 6, abs=1e-4)
    costs = [float(own[n][true[n]] - later[n][true[n]]) for n in range(6)]
    assert line.switch.mean == pytest.approx(sum(costs) / 6, abs=1e-4)
    among = [float((own[n] - later[n] + later[n].logsumexp(0) - own[n].logsumexp(0))[true[n]]) for n in range(6)]
    assert line.choice.mean == pytest.approx(sum(among) / 6, abs=1e-4)
    (line,) = [line for line in lines if (line.history, line.task, line.turns) == ("mood", "mood", 2)]
    turns = made.histories("mood", 2, len(chosen)).rows[:, 1]
    copied = [int(said.argmax()) == int(rows.targets[turn]) for said, turn in zip(own, turns, strict=True)]
    assert line.repeats == pytest.approx(sum(copied) / 6)
    assert all((one.repeats is None) == (one.history != one.task) for one in lines)
    assert all((one.switch is None) == (one.choice is None) == (one.history in ("", one.task)) for one in lines)


def test_a_history_is_training_rows_each_once_and_a_shorter_one_is_its_beginning(tiny_model, specs):
    made = Everything(tiny_model("gpt2"), specs)
    history = made.histories("kind", 5, 4)
    train = set(made.rows["kind"].rows["train"].tolist())
    assert all(len(set(row)) == 5 and set(row) <= train for row in history.rows.tolist())
    for short, long in zip(history.ids(2), history.ids(5), strict=True):
        assert short.tolist() == long[: len(short)].tolist()
    assert history.rows.tolist() == made.histories("kind", 5, 4).rows.tolist()
    assert history.rows.tolist() != made.histories("kind", 5, 4, seed=1).rows.tolist()


def test_equal_questions_have_equal_answers_and_another_seed_takes_other_histories(tiny_model, specs):
    made = Everything(tiny_model("gpt2"), specs)
    assert repr(made.measure()) == repr(made.measure())
    assert repr(made.measure()) != repr(made.measure(seed=1))
    # the longest histories that are asked for do not change the shorter ones
    assert repr(made.measure((1,))[2]) == repr(made.measure((1, 3))[2])


@pytest.mark.parametrize("slot", ["start", "before", "inside"])
def test_a_learned_prompt_stands_before_the_conversation_or_where_it_stands_by_the_text(tiny_model, specs, slot):
    phrases = {"mood": "{text}{prompt} it is", "kind": "the{prompt} {text} is a"}
    prompt = Soft(Phrase(phrases), length=3, init="vocabulary", slot=slot)
    made = Everything(tiny_model("gpt2"), specs, prompt)
    rows = made.rows["mood"]
    row = rows.rows["test"][:1]
    history = made.histories("kind", 2, 1)
    inputs = after(told(rows, row, prompt, made.encoder, 30), history.ids(2), made.encoder)
    found = score(made.model, "mood", inputs).said[0]
    model = transformers.AutoModelForCausalLM.from_pretrained(made.folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(made.folder)
    turns, text = plain(made, history, 0, 2), f"{rows.corpus.texts[row[0]]} it is great"
    known = turns + rows.corpus.texts[row[0]] if slot == "inside" else turns
    before, ids = (tokenizer(part, return_tensors="pt")["input_ids"] for part in (known, turns + text))
    words = tokenizer(" great", add_special_tokens=False)["input_ids"]
    at = 0 if slot == "start" else before.shape[1]
    with torch.no_grad():
        vectors = next(iter(prompt.rows["mood"].parameters()))[None]
        embedded = model.get_input_embeddings()(ids)
        embedded = torch.cat((embedded[:, :at], vectors, embedded[:, at:]), dim=1)
        said = model(inputs_embeds=embedded).logits[0].log_softmax(-1)[2 + ids.shape[1] - len(words) :]
    expected = sum(float(said[step, word]) for step, word in enumerate(words))
    good = rows.task.kind.labels.index("good")
    assert float(found[good]) == pytest.approx(expected, abs=2e-4)


def test_more_turns_than_positions_are_refused_with_how_many_fit(tiny_model, specs):
    made = Everything(tiny_model("gpt2"), specs)
    said = r"turns should be at most ([1-9]): with more, a conversation is longer than the 64 positions .* Found 18"
    with pytest.raises(MtlError, match=said) as refused:
        made.measure((1, 18))
    most = int(re.search(said, str(refused.value))[1])
    assert all(math.isfinite(line.loss.mean) for line in made.measure((most,)))
    with pytest.raises(MtlError, match=f"turns should be at most {most}:.* Found {most + 1}"):
        made.measure((most + 1,))


def test_more_turns_than_training_rows_are_refused(tiny_model, specs):
    made = Everything(tiny_model("gpt2"), specs)
    with pytest.raises(MtlError, match=r"turns should be at most 18, the training rows of mood. Found 19"):
        made.measure((19,))
