import math

from hypothesis import given
from hypothesis import strategies as st

from mtl.functional.pareto import front

values = st.one_of(st.integers(0, 6).map(float), st.just(math.nan))


def plain(points, higher):
    """Every point against every other."""
    signs = [1 if better else -1 for better in higher]
    costs = [[-s * v for s, v in zip(signs, point, strict=True)] for point in points]
    kept = set()
    for i, a in enumerate(costs):
        if any(map(math.isnan, a)):
            continue
        if not any(b[0] <= a[0] and b[1] <= a[1] and b != a for b in costs):
            kept.add(i)
    return kept


@given(st.lists(st.tuples(values, values), max_size=12), st.tuples(st.booleans(), st.booleans()))
def test_keeps_what_no_other_dominates(points, higher):
    found = front(points, higher)
    assert set(found) == plain(points, higher)
    assert len(found) == len(set(found))
    assert [points[i] for i in found] == sorted(points[i] for i in found)


def test_a_hand_example():
    assert front([(0.9, 0.1), (0.5, 0.5), (0.4, 0.4), (0.1, 0.9)]) == [3, 1, 0]
    assert front([(0.9, 3.0), (0.5, 1.0), (0.4, 2.0)], (True, False)) == [1, 0]
