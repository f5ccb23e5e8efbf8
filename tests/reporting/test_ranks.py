"""Golden column: the mean ranks published for NYUv2, SegNet-MTAN (Liu et al. 2023), twelve methods, nine metrics."""

import numpy as np
import pytest

from mtl.reporting.ranks import mean_ranks

HIGHER = [True, True, False, False, False, False, True, True, True]
ROWS = [
    (8.89, [39.29, 65.33, 0.5493, 0.2263, 28.15, 23.96, 22.09, 47.50, 61.08]),
    (7.89, [38.45, 64.27, 0.5354, 0.2201, 27.60, 23.37, 22.53, 48.57, 62.32]),
    (11.22, [37.17, 63.77, 0.5759, 0.2410, 28.27, 24.18, 22.26, 47.05, 60.62]),
    (7.67, [39.11, 65.31, 0.5510, 0.2285, 27.61, 23.18, 24.17, 50.18, 62.39]),
    (7.44, [36.87, 63.17, 0.5446, 0.2260, 27.04, 22.61, 23.54, 49.05, 63.65]),
    (6.00, [30.47, 59.90, 0.6070, 0.2555, 24.88, 19.45, 29.18, 56.88, 69.36]),
    (8.00, [38.06, 64.64, 0.5550, 0.2325, 27.41, 22.80, 23.86, 49.83, 63.14]),
    (7.00, [39.39, 65.12, 0.5455, 0.2279, 27.48, 22.96, 23.38, 49.44, 62.87]),
    (4.56, [39.79, 65.49, 0.5486, 0.2250, 26.31, 21.58, 25.61, 52.36, 65.58]),
    (3.78, [39.35, 65.60, 0.5426, 0.2256, 26.02, 21.19, 26.20, 53.13, 66.24]),
    (2.11, [40.13, 65.93, 0.5261, 0.2171, 25.26, 20.08, 28.40, 55.47, 68.15]),
    (3.44, [38.88, 64.90, 0.5474, 0.2194, 25.06, 19.57, 29.21, 56.61, 68.98]),
]


def test_gives_the_published_column():
    published, values = zip(*ROWS, strict=True)
    assert mean_ranks(np.array(values), HIGHER) == pytest.approx(published, abs=0.005)


def test_ties_share_their_average_rank_even_where_the_last_bit_differs():
    values_RC = np.array([[0.1 + 0.2, 5.0], [0.3, 1.0], [0.9, 3.0]])
    assert mean_ranks(values_RC, [True, False]).tolist() == [(2.5 + 3) / 2, (2.5 + 1) / 2, (1 + 2) / 2]


def test_a_row_with_a_nan_has_no_rank_and_takes_none():
    ranks_R = mean_ranks(np.array([[1.0, 1.0], [9.0, np.nan], [3.0, 3.0]]), [True, True])
    assert ranks_R == pytest.approx([2, np.nan, 1], nan_ok=True)
