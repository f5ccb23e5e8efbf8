"""Successive halving under one budget of steps (Jamieson and Talwalkar 2016, algorithm 1), controls at its end."""

from collections.abc import Sequence


def sizes(candidates: int, finalists: int) -> list[int]:
    """How many candidates each screening round trains, halved and rounded up, down to the finalists.

    Empty where there is nothing to screen.
    """
    found = []
    while candidates > finalists:
        found.append(candidates)
        candidates = max(-(-candidates // 2), finalists)
    return found


def shares(budget: int, screens: Sequence[int], last: int) -> list[int]:
    """Steps of each run, screening round by screening round, and then in the last round.

    The screening rounds share alike, so a run of half as many has twice the steps; a run of the last round has at
    least twice those of the screening round before it.

    Args:
        budget: steps of all runs.
        screens: runs of each screening round.
        last: runs of the last round.
    """
    share = budget * screens[-1] // (len(screens) * screens[-1] + 2 * last) if screens else 0
    found = [share // runs for runs in screens]
    spent = sum(steps * runs for steps, runs in zip(found, screens, strict=True))
    return [*found, (budget - spent) // last]


def least_budget(screens: Sequence[int], last: int, least: int) -> int:
    """The smallest budget that gives `least` steps to each run."""
    if not screens:
        return last * least
    return -(-least * screens[0] * (len(screens) * screens[-1] + 2 * last) // screens[-1])
