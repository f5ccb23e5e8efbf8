"""Keywords, candidates and controls from the rows of two small tasks."""

import random

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from mtl.cli.instantiate import instantiate
from mtl.data.task import TaskSpec
from mtl.design.analysis import association, describe, padding, pairs, targets, texts
from mtl.design.candidates import candidates, controls
from mtl.design.keywords import STATISTICS, keywords
from mtl.design.pieces import count, pieces
from mtl.errors import MtlError

SAID = {"good": ["nice", "great", "fine"], "bad": ["poor", "awful", "sad"]}
COMMON = ["the", "book", "was", "read"]


@pytest.fixture(scope="module")
def loaded(literal):
    generator = random.Random(0)
    labels = [generator.choice(["good", "bad"]) for _ in range(120)]
    said = [" ".join(generator.choices(SAID[label] + COMMON, k=8)) for label in labels]
    said[0], said[119] = "great book nice", "great book nice"  # a leak into test
    labels[0] = labels[119] = "good"
    splits = ["train"] * 80 + ["val"] * 20 + ["test"] * 20
    source = literal(said, splits, stars=labels, long=[str(len(text) > 35) for text in said])
    specs = [
        TaskSpec("stars", "classification", source, "stars", keywords=["rating"], phrase="how many? {text}"),
        TaskSpec("long", "classification", source, "long"),
    ]
    return {spec.name: spec.load() for spec in specs}


@pytest.fixture(scope="module")
def counts(loaded):
    return {
        name: count(texts(rows, "train"), targets(rows, "train"), rows.task.kind.labels, 2)
        for name, rows in loaded.items()
    }


@pytest.fixture(scope="module")
def tables(counts):
    return {name: counts for name in STATISTICS if name != "lm"}


def test_chinese_is_cut_into_runs_inside_punctuation_and_words_stay_whole():
    assert list(pieces("很好，不差a Good 12 x")) == ["很好", "不差", "good"]
    assert list(pieces("质量好")) == ["质量", "量好", "质量好"]
    assert list(pieces("iPhone手机")) == ["iphone", "手机"]


@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_statistic_finds_the_words_that_go_with_a_label(counts, statistic):
    found = keywords(counts["stars"], statistic, 3)
    assert {word.word for word in found if word.label == "good"} == set(SAID["good"])
    assert {word.word for word in found if word.label == "bad"} == set(SAID["bad"])
    assert [word.label for word in found[:2]] == list(counts["stars"].labels)  # the best of each first


def test_tfidf_is_the_gap_of_sklearns_means(loaded, counts):
    train, labels_N = texts(loaded["stars"], "train"), targets(loaded["stars"], "train")
    matrix = TfidfVectorizer(min_df=2).fit(train)
    weights = matrix.transform(train).toarray()
    wanted = weights[labels_N == 0].mean(0) - weights[labels_N == 1].mean(0)
    assert list(counts["stars"].words) == list(matrix.get_feature_names_out())
    np.testing.assert_allclose(STATISTICS["tfidf"](counts["stars"])[0], wanted)


def test_words_are_fitted_on_the_training_split_alone(literal):
    said = ["aa bb", "aa cc", "bb dd", "cc dd"] * 3 + ["leaked leaked"] * 4
    source = literal(said, ["train"] * 12 + ["val", "val", "test", "test"], label=["a", "a", "b", "b"] * 4)
    rows = TaskSpec("t", "classification", source).load()
    assert "leaked" not in count(texts(rows, "train"), targets(rows, "train"), rows.task.kind.labels, 1).words


def test_runs_of_one_chinese_word_are_taken_once():
    said = ["质量很好"] * 5 + ["太差劲了"] * 5
    found = keywords(count(said, np.array([0] * 5 + [1] * 5), ["好", "坏"], 1), "chi2", 4)
    assert {word.word for word in found} == {"很好", "质量", "太差", "劲了"}


def test_english_words_that_look_alike_are_different_words():
    counts = count(["art party"] * 5 + ["the hen"] * 5, np.array([0] * 5 + [1] * 5), ["x", "y"], 1)
    assert {word.word for word in keywords(counts, "chi2", 2)} == {"art", "party", "the", "hen"}


def test_a_word_speaks_for_the_label_that_it_is_nearest_to():
    # ox is commoner than by chance under x and y, most under x
    said = ["ox ox"] * 9 + ["pig"] + ["ox hen"] * 7 + ["hen"] * 3 + ["cat"] * 10
    counts = count(said, np.repeat([0, 1, 2], 10), ["x", "y", "z"], 1)
    assert (STATISTICS["chi2"](counts)[:2, list(counts.words).index("ox")] > 0).all()
    assert [(word.word, word.label) for word in keywords(counts, "chi2", 1)] == [
        ("ox", "x"),
        ("hen", "y"),
        ("cat", "z"),
    ]
    assert "ox" not in [word.word for word in keywords(counts, "chi2", 3) if word.label == "y"]


def test_no_word_in_enough_rows_is_one_line():
    with pytest.raises(MtlError, match="no word stands in 9 of the 2 training rows"):
        count(["a b", "c"], np.array([0, 1]), ["x", "y"], 9)


def test_candidates_are_of_every_family_and_know_their_lineage(loaded, tables):
    found = {candidate.name: candidate for candidate in candidates(loaded, tables, 2)}
    assert {candidate.family for candidate in found.values()} == {"keyword", "phrase", "feature"}
    assert "design_keyword_author" not in found  # one task has no words of its own
    one = found["design_keyword_chi2"]
    assert one.node["keywords"].keys() == {"stars", "long"}
    assert one.lineage["mtl.design.origin"] == "chi2"
    assert one.lineage["mtl.design.words.stars"] == " ".join(one.node["keywords"]["stars"])
    nodes = [str(candidate.node) for candidate in found.values()]
    assert len(set(nodes)) == len(nodes)
    assert all(phrase.count("{text}") == 1 for phrase in found["design_phrase_chi2"].node["phrases"].values())


def test_soft_prompts_start_from_the_same_words(loaded, counts):
    found = candidates(loaded, {"chi2": counts}, 2, ["keyword", "soft"])
    texts, soft = ({c.family: c for c in found}[family] for family in ("keyword", "soft"))
    prompt = instantiate("prompt", soft.node)
    assert prompt.init == {task: list(words) for task, words in texts.words.items()}
    assert instantiate("prompt", texts.node).keywords == {task: tuple(words) for task, words in texts.words.items()}


def test_controls_say_as_much_as_the_keywords_and_the_labels_are_shuffled(loaded, counts, tables):
    found = {control.name: control for control in controls(loaded, tables, 2, "chi2", ["keyword", "phrase"])}
    assert next(iter(found)) == "none"
    assert len(found) == 7
    real = [word.word for word in keywords(counts["stars"], "chi2", 2)]
    filler = found["design_keyword_filler"].words["stars"]
    assert len(filler) == len(real)
    assert len(set(filler)) == 1
    assert found["design_keyword_random"].words["stars"] != real
    assert all(control.control for control in found.values())
    shuffled = counts["stars"].shuffled(0)
    assert (shuffled.targets != counts["stars"].targets).any()
    np.testing.assert_array_equal(shuffled.sizes, counts["stars"].sizes)


def test_facts_of_a_task(loaded):
    facts = describe(loaded["stars"], 16)
    assert facts.rows == {"train": 80, "val": 20, "test": 20}
    assert sum(facts.balance.values()) == pytest.approx(1)
    assert facts.leaks == 1
    assert facts.contrary == 0
    assert facts.probes["linear"] > 0.9 > facts.probes["majority"]


def test_texts_without_a_word_are_told_as_the_commonest_label(literal):
    source = literal([str(number) for number in range(12)], label=["a", "a", "b"] * 4)
    found = describe(TaskSpec("t", "classification", source).load(), 4).probes
    assert found["linear"] == found["majority"]


def test_padding_by_hand():
    assert padding(np.array([4, 4]), 2) == 0
    assert padding(np.array([1, 3]), 2) == pytest.approx(1 / 3)


def test_facts_of_two_tasks(loaded, counts):
    (pair,) = pairs(loaded, counts)
    assert pair.overlap == 1
    assert pair.shared == len(set(texts(loaded["stars"], "train")))
    # the phi coefficient of a 2 x 2 table: (30 x 20 - 10 x 40) / sqrt(40 x 60 x 70 x 30)
    ours, theirs = [0] * 40 + [1] * 60, [0] * 30 + [1] * 10 + [0] * 40 + [1] * 20
    assert association(ours, theirs) == pytest.approx(abs(30 * 20 - 10 * 40) / (40 * 60 * 70 * 30) ** 0.5)
    assert association([0, 0], [0, 1]) is None
