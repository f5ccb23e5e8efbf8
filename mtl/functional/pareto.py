"""Which points no other dominates, and how much they dominate."""

from collections.abc import Sequence

import numpy as np


def pareto_front(points_ND: np.ndarray, higher_is_better: Sequence[bool]) -> np.ndarray:
    """Mask of the points that no other dominates: as good in every coordinate and better in one.

    Equal points are on the front together; a point with a nan is not on it and dominates none.
    """
    costs_ND = _costs(points_ND, higher_is_better)
    no_worse_NN = (costs_ND[:, None] <= costs_ND[None]).all(axis=2)
    better_NN = (costs_ND[:, None] < costs_ND[None]).any(axis=2)
    return np.asarray(~(no_worse_NN & better_NN).any(axis=0) & ~np.isnan(costs_ND).any(axis=1))


def front(points: Sequence[tuple[float, float]], higher_is_better: tuple[bool, bool] = (True, True)) -> list[int]:
    """Positions of the points on the front, sorted by the first coordinate, then the second: the line that joins them.

    A point with an infinity is left out.
    """
    finite = [place for place, point in enumerate(points) if np.isfinite(point).all()]
    if not finite:
        return []
    kept = pareto_front(np.asarray([points[place] for place in finite]), higher_is_better)
    return sorted((place for place, on in zip(finite, kept, strict=True) if on), key=lambda place: points[place])


def hypervolume(points_N2: np.ndarray, reference_2: Sequence[float], higher_is_better: Sequence[bool]) -> float:
    """The area that two-dimensional points dominate up to a reference point (Zitzler & Thiele 1998); exact, by sorting.

    Points that are no better than the reference in both coordinates, or have a nan, add nothing.
    """
    costs_N2 = _costs(points_N2, higher_is_better)
    ref_x, ref_y = _costs(np.asarray([reference_2]), higher_is_better)[0]
    inside_N2 = costs_N2[(costs_N2[:, 0] < ref_x) & (costs_N2[:, 1] < ref_y)]
    area, floor = 0.0, ref_y
    for x, y in inside_N2[np.lexsort(inside_N2.T[::-1])]:
        if y < floor:
            area += (ref_x - x) * (floor - y)
            floor = y
    return float(area)


def _costs(points: np.ndarray, higher_is_better: Sequence[bool]) -> np.ndarray:
    return np.asarray(points, dtype=float) * np.where(higher_is_better, -1.0, 1.0)
