"""The two-dimensional Pareto front."""

from collections.abc import Sequence
from math import isfinite


def front(points: Sequence[tuple[float, float]], higher: tuple[bool, bool] = (True, True)) -> list[int]:
    """Positions of the points that no other dominates, sorted by the first coordinate, then the second.

    A point dominates another if it is as good in both coordinates and better in one. Equal points are on the front
    together; a point with a nan or an infinity is not on it.
    """
    x, y = (1 if better else -1 for better in higher)
    costs = {place: (-x * a, -y * b) for place, (a, b) in enumerate(points) if isfinite(a) and isfinite(b)}
    kept, best = [], float("inf")
    previous = None
    for place, cost in sorted(costs.items(), key=lambda item: item[1]):
        if cost[1] < best or cost == previous:
            kept.append(place)
            best, previous = cost[1], cost
    return sorted(kept, key=lambda place: points[place])
