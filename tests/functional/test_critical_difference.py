import math

import pytest

from mtl.functional.critical_difference import cliques, critical_difference

# Demsar 2006, table 5 (a), two-tailed Nemenyi test, k = 2 to 10
TABLE = {
    0.05: [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164],
    0.10: [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920],
}


@pytest.mark.parametrize("alpha", TABLE)
@pytest.mark.parametrize("k", range(2, 11))
def test_gives_the_published_quantiles(k, alpha):
    # with N = k (k + 1) / 6 blocks the difference is the quantile itself; N must be whole, so scale
    blocks = 6
    q = critical_difference(k, blocks, alpha) / math.sqrt(k * (k + 1) / (6 * blocks))
    assert q == pytest.approx(TABLE[alpha][k - 2], abs=0.0011)


def test_gives_the_example_of_the_paper():
    # four algorithms on 14 data sets: 2.569 sqrt(4 x 5 / (6 x 14)) = 1.25
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ([1.0, 1.5, 2.4, 4.0], [(0, 1), (1, 2)]),
        ([1.0, 1.2, 1.4], [(0, 2)]),
        ([1.0, 3.0, 5.0], []),
        ([1.0, 2.0], []),
    ],
)
def test_joins_what_is_nearer_than_the_difference(ranks, expected):
    assert cliques(ranks, 1.0) == expected


@pytest.mark.parametrize("wrong", [(1, 3, 0.05), (3, 0, 0.05), (3, 3, 1.0)])
def test_refuses_what_has_no_difference(wrong):
    with pytest.raises(ValueError, match="should be at least"):
        critical_difference(*wrong)
