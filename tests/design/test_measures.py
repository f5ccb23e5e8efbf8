"""Effects of measures: Kruskal and Wallis by hand, and which of them make a prompt."""

import numpy as np
import pytest

from mtl.design.candidates import candidates
from mtl.design.measures import Effect, effects, told
from mtl.prompts.feature import MEASURES


def test_eta_squared_by_hand():
    # lengths 1 to 6 in two groups of three: ranks 1 2 3 and 4 5 6, sums 6 and 15
    # H = 12 / (6 * 7) * (36 / 3 + 225 / 3) - 3 * 7 = 27 / 7;  eta2 = (H - 2 + 1) / (6 - 2) = 5 / 7
    found = effects(["a" * length for length in range(1, 7)], np.array([0, 0, 0, 1, 1, 1]))
    assert found["长度"].eta2 == pytest.approx(5 / 7)
    assert found["标点"] == Effect(0.0, 1.0)  # no text has any


def test_a_measure_that_differs_is_told_and_one_by_chance_is_not():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 400)
    said = ["so" + "!" * int(label) + "x" * int(generator.integers(1, 30)) for label in labels]
    found = effects(said, labels)
    assert found["感叹"].told
    assert not found["长度"].eta2 > 0.05
    assert not found["数字"].told
    assert told({"t": found}) == [name for name in MEASURES if found[name].told]
    assert told({"t": {name: Effect(0.005, 0.0) for name in MEASURES}}) == []  # significant and tiny


def test_one_label_tells_nothing():
    assert set(effects(["a", "bb"], np.array([0, 0])).values()) == {Effect(0.0, 1.0)}


@pytest.mark.parametrize(("chosen", "names"), [(["长度"], 2), ([], 1), (list(MEASURES), 1)])
def test_measures_that_are_not_all_make_a_candidate_of_their_own(chosen, names):
    found = candidates({}, {}, 1, ["feature"], chosen)
    assert len(found) == names
    assert found[-1].node.get("measures", chosen) == chosen
