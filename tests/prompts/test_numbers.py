"""Numbers of a text against scikit-learn."""

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from mtl.data.vocabulary import pieces
from mtl.prompts.feature import MEASURES
from mtl.prompts.numbers import Measures, Tfidf

TEXTS = [
    "the book is good 好书",
    "a bad book 坏",
    "good good 好",
    "the film",
    "is a film good ?",
    "bad 坏坏",
    "好 film",
]


def test_tfidf_is_scikit_learns_on_its_leading_directions():
    ours = Tfidf(3)
    ours.fit("a", TEXTS)
    theirs = TfidfVectorizer(tokenizer=lambda text: pieces(text, "words"), token_pattern=None)
    projection = TruncatedSVD(3, algorithm="arpack", random_state=0)
    scale = StandardScaler().fit(projection.fit_transform(theirs.fit_transform(TEXTS)))
    new = ["good film 好", "unknown", "the the book !"]
    for texts in (TEXTS, new):
        expected = scale.transform(projection.transform(theirs.transform(texts)))
        found = ours("a", texts)
        sign = np.sign((ours("a", TEXTS) * scale.transform(projection.transform(theirs.transform(TEXTS)))).sum(0))
        np.testing.assert_allclose(found, expected * sign, atol=1e-5)


def test_directions_that_the_texts_lack_are_zero():
    ours = Tfidf(9)
    ours.fit("a", ["x y", "x"])
    assert ours("a", ["y x"]).shape == (1, 9)
    assert not ours("a", ["y x"])[:, 1:].any()


def test_measures_are_those_of_the_feature_prompt_standardised():
    ours = Measures()
    ours.fit("a", TEXTS)
    raw = np.array([[measure(text) for measure in MEASURES.values()] for text in TEXTS])
    np.testing.assert_allclose(ours("a", TEXTS), StandardScaler().fit_transform(raw), atol=1e-5)
