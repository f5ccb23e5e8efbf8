"""The tokenizer that a pretrained trunk brings."""

import itertools
import json
import shutil

import numpy as np
import pytest

from mtl.data.encoder import encoder_from
from mtl.data.inputs import Inputs
from mtl.data.tokenizer import PretrainedTokenizer
from mtl.data.vocabulary import Vocabulary
from mtl.errors import MtlError

transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")

KINDS = ["bert", "roberta", "gpt2", "llama"]


@pytest.fixture(params=KINDS)
def pair(request, tiny_model):
    """Ours and transformers' own."""
    folder = tiny_model(request.param)
    return PretrainedTokenizer(str(folder)), transformers.AutoTokenizer.from_pretrained(folder)


def row(inputs, i):
    return inputs.ids[inputs.starts[i] : inputs.starts[i + 1]].tolist()


def test_a_text_reads_as_transformers_reads_it(pair):
    ours, theirs = pair
    texts = ["the book was good", "you", "a story about the bad, the awful and the unnice!"]
    inputs = Inputs.build(texts, None, lambda text: ("", ""), ours, 60)
    for i, text in enumerate(texts):
        assert row(inputs, i) == theirs(text, truncation=False).input_ids


@pytest.mark.parametrize(("before", "after"), [("it is: ", ""), ("", " is it good?"), ("you: ", " and me")])
def test_a_prompt_and_its_text_read_as_one_text_would(pair, before, after):
    ours, theirs = pair
    text = "the book was bad"
    inputs = Inputs.build([text], None, lambda text: (before, after), ours, 60)
    assert row(inputs, 0) == theirs(before + text + after, truncation=False).input_ids


def test_what_is_cut_is_the_text_and_never_prompt_or_special_tokens(pair):
    ours, _ = pair
    whole = Inputs.build(["good bad " * 40], None, lambda text: ("you: ", " me"), ours, 400)
    cut = Inputs.build(["good bad " * 40], None, lambda text: ("you: ", " me"), ours, 20)
    assert cut.truncated == 1
    assert len(row(cut, 0)) == 20
    tail = len(ours.encode_prompt(" me")) + len(ours.end)
    assert row(cut, 0)[-tail:] == row(whole, 0)[-tail:]
    assert row(cut, 0)[: 20 - tail] == row(whole, 0)[: 20 - tail]


def test_a_special_token_is_one_in_a_prompt_and_plain_letters_in_a_text(pair):
    ours, theirs = pair
    name = theirs.mask_token or theirs.eos_token
    special = theirs.convert_tokens_to_ids(name)
    inputs = Inputs.build([f"good {name} bad"], None, lambda text: ("it is ", f" {name}"), ours, 60)
    assert row(inputs, 0)[: -len(ours.end) or None].count(special) == 1
    assert special not in ours.encode(f"good {name} bad").tolist()


@pytest.mark.parametrize("prompt", ["", "you: "])
def test_each_token_begins_at_its_own_first_piece(pair, prompt):
    ours, theirs = pair
    tokens = ["the", "unnice", "book", "was", "goods"]
    inputs = Inputs.build([" ".join(tokens)], [tokens], lambda text: (prompt, ""), ours, 60)
    ids = row(inputs, 0)
    assert ids == theirs(prompt + " ".join(tokens), truncation=False).input_ids
    firsts = [*(inputs.text_at[0] + inputs.first[0]).tolist(), len(ids) - len(ours.end)]
    assert [theirs.decode(ids[a:b]).strip() for a, b in itertools.pairwise(firsts)] == tokens


def test_tokens_without_spaces_between_them_get_none(pair):
    ours, theirs = pair
    ids, first = ours.encode_tokens(["好", "坏", "好"])
    assert theirs.decode(ids).replace(" ", "") == "好坏好"
    assert first[0] == 0
    assert len(set(first.tolist())) == 3


def test_a_text_that_the_tokenizer_knows_nothing_of_is_one_unknown_piece(pair):
    ours, _ = pair
    assert len(ours.encode("\u200d")) >= 1
    _, first = ours.encode_tokens(["good", "\u200d", "bad"])
    assert len(set(first.tolist())) == 3


def test_padding_is_the_models_own(pair):
    ours, theirs = pair
    inputs = Inputs.build(["good", "the book was bad"], None, lambda text: ("", ""), ours, 60)
    padded = inputs.pad(np.array([0, 1]), 30)
    fill = theirs.pad_token_id if theirs.pad_token_id is not None else theirs.unk_token_id
    assert padded[0, -1] == ours.padding == fill


@pytest.mark.parametrize("kind", KINDS)
def test_the_place_of_learned_vectors_in_a_phrase_leaves_no_space_behind(tiny_model, kind):
    tokenizer = PretrainedTokenizer(str(tiny_model(kind)))

    def ids(before, after):
        return Inputs.build(["nice"], None, lambda _: (before, after), tokenizer, 60)

    found = ids("the {prompt} book ", " it is {prompt} good")
    expected = ids("the book ", " it is good")
    assert tokenizer.decode(found.ids) == tokenizer.decode(expected.ids)
    assert found.ids.tolist() == expected.ids.tolist()
    assert ids("", " {prompt} it is").ids.tolist() == ids("", " it is").ids.tolist()
    assert ids("", " {prompt} it is").place_at.tolist() == ids("", "").text_to.tolist()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("{prompt} the book ", "", ("the book ", "")),
        ("{prompt} ", " it is", ("", " it is")),
        ("the book {prompt}", "", ("the book ", "")),
        ("the book {prompt} ", "", ("the book ", "")),
        ("", " {prompt}", ("", "")),
        ("the ", " it is {prompt}", ("the ", " it is")),
    ],
)
@pytest.mark.parametrize("kind", [*KINDS, "characters"])
def test_the_place_of_learned_vectors_at_an_end_of_a_phrase_leaves_no_space_of_its_own(
    tiny_model, kind, before, after, words
):
    """Oracle: the words without it. Its place is behind as many ids as the words before it have."""
    encoder = Vocabulary("characters", tuple(" abcdefghijklmnopqrstuvwxyz"))
    encoder = encoder if kind == "characters" else PretrainedTokenizer(str(tiny_model(kind)))

    def ids(before, after):
        return Inputs.build(["nice"], None, lambda _: (before, after), encoder, 60)

    found, plain = ids(before, after), ids(*words)
    assert found.ids.tolist() == plain.ids.tolist()
    ahead = before.partition("{prompt}")[0].rstrip()
    behind = len(encoder.start) + len(encoder.encode_prompt(ahead))
    assert found.place_at.tolist() == ([behind] if "{prompt}" in before else [len(plain.ids) - len(encoder.end)])


def test_a_tokenizers_own_truncation_cuts_nobody(tiny_model):
    assert len(PretrainedTokenizer(str(tiny_model("bert"))).encode("good " * 30)) == 30


def test_the_longest_input_is_what_the_model_has_positions_for(tiny_model, minilm):
    assert [PretrainedTokenizer(str(tiny_model(kind))).limit for kind in ("bert", "roberta", "gpt2")] == [64] * 3
    assert PretrainedTokenizer(minilm).limit == 512


def test_comes_back_from_its_state_unless_the_model_is_another_now(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model("bert"), tmp_path / "model")
    ours = PretrainedTokenizer(str(folder), unit="characters")
    state = json.loads(json.dumps(ours.state()))
    back = encoder_from(state)
    assert isinstance(back, PretrainedTokenizer)
    assert (back.unit, back.encode("the book").tolist()) == ("characters", ours.encode("the book").tolist())
    shutil.copy(tiny_model("roberta") / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(MtlError, match=f"with the digest {ours.digest}. Found "):
        encoder_from(state)


def test_a_vocabulary_comes_back_from_its_state_too():
    vocabulary = Vocabulary("words", ("a", "b"))
    assert encoder_from(vocabulary.state()) == vocabulary


def test_a_broken_tokenizer_and_a_wrong_unit_are_one_line(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model("bert"), tmp_path / "model")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(MtlError, match=r"the tokenizer of .* can't be loaded"):
        PretrainedTokenizer(str(folder))
    with pytest.raises(MtlError, match=r"unit should be characters or words. Found 'bytes'"):
        PretrainedTokenizer(str(folder), unit="bytes")
