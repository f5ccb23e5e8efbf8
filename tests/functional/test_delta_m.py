"""Golden rows: NYUv2, SegNet-MTAN, of Navon et al. 2022 (Nash-MTL), Liu et al. 2023 (FAMO), Ban & Ji 2024 (FairGrad)"""

import math

import pytest
import torch

from mtl.functional.delta_m import delta_m

# mIoU, pixel accuracy | absolute, relative error | mean, median angle, within 11.25, 22.5, 30 degrees
HIGHER = [True, True, False, False, False, False, True, True, True]
TASKS = [slice(0, 2), slice(2, 4), slice(4, 9)]
ALONE = [38.30, 63.76, 0.6754, 0.2780, 25.01, 19.21, 30.14, 57.20, 69.15]
# the row; then Delta_m as published (lower is better), from the rounded row, and averaged inside each task first
ROWS = {
    "EW": ([39.29, 65.33, 0.5493, 0.2263, 28.15, 23.96, 22.09, 47.50, 61.08], 5.59, 5.59, -0.88),
    "SI": ([38.45, 64.27, 0.5354, 0.2201, 27.60, 23.37, 22.53, 48.57, 62.32], 4.39, 4.39, -1.64),
    "RLW": ([37.17, 63.77, 0.5759, 0.2410, 28.27, 24.18, 22.26, 47.05, 60.62], 7.78, 7.78, 2.16),
    "DWA": ([39.11, 65.31, 0.5510, 0.2285, 27.61, 23.18, 24.17, 50.18, 62.39], 3.57, 3.57, -1.93),
    "UW": ([36.87, 63.17, 0.5446, 0.2260, 27.04, 22.61, 23.54, 49.05, 63.65], 4.05, 4.06, -0.91),
    "MGDA": ([30.47, 59.90, 0.6070, 0.2555, 24.88, 19.45, 29.18, 56.88, 69.36], 1.38, 1.38, 1.66),
    "PCGrad": ([38.06, 64.64, 0.5550, 0.2325, 27.41, 22.80, 23.86, 49.83, 63.14], 3.97, 3.97, -1.11),
    "GradDrop": ([39.39, 65.12, 0.5455, 0.2279, 27.48, 22.96, 23.38, 49.44, 62.87], 3.58, 3.58, -2.07),
    "CAGrad": ([39.79, 65.49, 0.5486, 0.2250, 26.31, 21.58, 25.61, 52.36, 65.58], 0.20, 0.19, -4.33),
    "Nash-MTL": ([40.13, 65.93, 0.5261, 0.2171, 25.26, 20.08, 28.40, 55.47, 68.15], -4.04, -4.05, -7.65),
    "FAMO": ([38.88, 64.90, 0.5474, 0.2194, 25.06, 19.57, 29.21, 56.61, 68.98], -4.10, -4.10, -6.79),
    "FairGrad": ([39.74, 66.01, 0.5377, 0.2236, 24.84, 19.60, 29.26, 56.58, 69.16], -4.66, -4.66, -7.52),
}


@pytest.mark.parametrize(("row", "published", "from_rounded", "by_task"), ROWS.values(), ids=list(ROWS))
def test_gives_the_published_rows_with_the_sign_turned(row, published, from_rounded, by_task):
    found = delta_m(row, ALONE, HIGHER)
    assert found == pytest.approx(-published, abs=0.0151)  # a published row is itself rounded
    assert round(found, 2) == -from_rounded
    inside = [delta_m(row[task], ALONE[task], HIGHER[task]) for task in TASKS]
    assert sum(inside) / len(inside) == pytest.approx(-by_task, abs=0.00501)


def test_gives_the_published_row_of_cityscapes():
    found = delta_m([75.18, 93.49, 0.0155, 46.77], [74.01, 93.16, 0.0125, 27.77], [True, True, False, False])
    assert found == pytest.approx(-22.60, abs=0.1)  # Nash-MTL, equal weights; .0125 is rounded to 0.4%


def test_is_zero_for_the_baseline_itself():
    assert delta_m(ALONE, ALONE, HIGHER) == 0


def test_is_positive_for_an_improvement_of_a_negative_baseline():
    assert delta_m([-1.0], [-2.0], [True]) == 50


def test_takes_tensors():
    assert delta_m(torch.tensor([0.5, 2.0]), torch.tensor([0.25, 4.0]), [True, False]) == 75


def test_passes_nan_on():
    assert math.isnan(delta_m([math.nan, 1.0], [1.0, 1.0], [True, True]))
    assert math.isnan(delta_m([1.0], [math.nan], [True]))


def test_refuses_a_baseline_of_zero():
    with pytest.raises(ValueError, match="should not be zero"):
        delta_m([1.0, 1.0], [1.0, 0.0], [True, True])


@pytest.mark.parametrize("arguments", [([1.0], [1.0, 2.0], [True]), ([], [], [])])
def test_refuses_unequal_or_empty_lengths(arguments):
    with pytest.raises(ValueError, match="one length"):
        delta_m(*arguments)
