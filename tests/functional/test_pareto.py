import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.functional.pareto import hypervolume, pareto_front

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=9)
DIRECTIONS = st.tuples(st.booleans(), st.booleans())


def beats(a, b, higher):
    """Whether a dominates b."""
    signs = [1 if up else -1 for up in higher]
    gains = [s * (x - y) for s, x, y in zip(signs, a, b, strict=True)]
    return min(gains) >= 0 and max(gains) > 0


@given(POINTS, DIRECTIONS)
def test_the_front_is_what_no_other_point_beats(points, higher):
    expected = [not any(beats(other, point, higher) for other in points) for point in points]
    assert pareto_front(np.array(points), higher).tolist() == expected


@given(POINTS, DIRECTIONS, st.tuples(st.integers(0, 6), st.integers(0, 6)))
def test_hypervolume_counts_the_unit_squares_that_are_dominated(points, higher, reference):
    signs = [-1 if up else 1 for up in higher]
    costs = [tuple(s * x for s, x in zip(signs, point, strict=True)) for point in points]
    corner = tuple(s * x for s, x in zip(signs, reference, strict=True))
    squares = sum(
        any(cost[0] <= x and cost[1] <= y for cost in costs) for x in range(-7, corner[0]) for y in range(-7, corner[1])
    )
    assert hypervolume(np.array(points), reference, higher) == squares


def test_hypervolume_by_hand():
    """Accuracy up, error down, measured to accuracy 0 and error 4: 0.5 x 3 and 0.2 more x 1."""
    points = np.array([[0.5, 1.0], [0.7, 3.0], [0.4, 3.5]])
    assert hypervolume(points, (0.0, 4.0), (True, False)) == pytest.approx(0.5 * 3 + 0.2 * 1)


def test_a_nan_is_nowhere():
    points = np.array([[math.nan, 9.0], [1.0, 1.0]])
    assert pareto_front(points, (True, True)).tolist() == [False, True]
    assert hypervolume(points, (0, 0), (True, True)) == 1
