"""Label words by a language model, against transformers run once for each row."""

import numpy as np
import pytest
import torch

from mtl.data.task import TaskSpec
from mtl.data.tokenizer import PretrainedTokenizer
from mtl.design.analysis import targets, texts
from mtl.design.keywords import STATISTICS, keywords
from mtl.design.label_words import likelihoods, phrase_of
from mtl.errors import MtlError

SAID = ["the book was good", "a story about it", "it is nice", "the awful book", "is it a book", "bad bad story"]
LABELS = ["good", "bad", "good", "bad", "bad", "good"]


@pytest.fixture(scope="module")
def rows(literal):
    source = literal([*SAID, "it", "it"], stars=[*LABELS, "good", "bad"])
    return TaskSpec("stars", "classification", source, "stars").load()


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "llama"])
def test_scores_are_mean_log_probabilities_of_transformers_own_forward(kind, rows, tiny_model):
    transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")
    from mtl.model.pretrained.trunk import Pretrained

    folder, causal = str(tiny_model(kind)), kind in ("gpt2", "llama")
    encoder, trunk = PretrainedTokenizer(folder), Pretrained(0, False, folder, causal, language_model=True).eval()
    found = likelihoods(trunk, encoder, rows, 60)
    auto = transformers.AutoModelForCausalLM if causal else transformers.AutoModelForMaskedLM
    model, theirs = auto.from_pretrained(folder).eval(), transformers.AutoTokenizer.from_pretrained(folder)
    by_text = {}
    for text in SAID:
        asked = text if causal else f"{text} {theirs.mask_token}"
        ids = theirs(asked, return_tensors="pt", truncation=False)["input_ids"]
        at = -1 if causal else ids[0].tolist().index(theirs.mask_token_id)
        with torch.no_grad():
            by_text[text] = model(ids).logits[0, at].log_softmax(-1).double().numpy()
    order = np.random.default_rng(0).permutation(len(SAID))
    said_NV = np.stack([by_text[text] for text in np.array(texts(rows, "train"))[order]])
    words = found.words.tolist()
    assert len(words) > 5
    assert all(word.isalpha() and len(word) > 1 for word in words if word not in "好坏")
    token = {
        word: theirs(word if kind == "bert" else f" {word}", add_special_tokens=False)["input_ids"] for word in words
    }
    assert all(len(ids) == 1 for ids in token.values())
    np.testing.assert_allclose(found.times, said_NV[:, [token[word][0] for word in words]], atol=1e-4)
    np.testing.assert_array_equal(found.targets, targets(rows, "train")[order])
    # the ratio, label by label
    good = np.array([label == "good" for label in LABELS])[order]
    column = words.index("book") if "book" in words else 0
    gap = found.times[good, column].mean() - found.times[~good, column].mean()
    assert STATISTICS["lm"](found)[list(found.labels).index("good"), column] == pytest.approx(gap)
    best = keywords(found, "lm", 2)
    assert {word.label for word in best} == {"good", "bad"}
    first = next(word for word in best if word.label == "good")
    gaps = found.times[good].mean(0) - found.times[~good].mean(0)
    assert first.score == pytest.approx(gaps.max())


def test_a_word_is_asked_for_in_the_tasks_own_phrase_where_there_is_a_place(rows, literal):
    def task(phrase):
        source = literal(["a", "b", "c", "d"], stars=["x", "y", "x", "y"])
        return TaskSpec("t", "classification", source, "stars", phrase=phrase).load().task

    assert phrase_of(task("{text} It was {mask}."), causal=False) == "{text} It was {mask}."
    assert phrase_of(task("{text} It was"), causal=False) == "{text} {mask}"
    assert phrase_of(task("{text} It was"), causal=True) == "{text} It was"
    assert phrase_of(task("{text} It was {mask}."), causal=True) == "{text}"
    assert phrase_of(rows.task, causal=False) == "{text} {mask}"


def test_a_tokenizer_without_a_mask_is_refused(rows, tiny_model):
    pytest.importorskip("transformers", reason="the extra llm is not installed")
    from mtl.model.pretrained.trunk import Pretrained

    folder = str(tiny_model("bert"))
    encoder = PretrainedTokenizer(folder)
    encoder.mask = None
    with pytest.raises(MtlError, match="no mask"):
        likelihoods(Pretrained(0, False, folder, False, language_model=True), encoder, rows, 60)
