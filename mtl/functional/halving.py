"""Successive halving under one budget of steps (Jamieson and Talwalkar 2016, algorithm 1), with a last round apart."""

from collections.abc import Sequence


def sizes(candidates: int, finalists: int) -> list[int]:
    """How many candidates each screening round trains, halved and rounded up, until no more than the finalists are left.

    Empty where there is nothing to screen.
    """
    found = []
    while candidates > finalists:
        found.append(candidates)
        candidates = max(-(-candidates // 2), finalists)
    return found


def steps_of(budget: int, rounds: int, runs: int) -> int:
    """Steps of each of the `runs` of one of `rounds` rounds that share a budget alike."""
    return budget // (rounds * runs)


def least_budget(screens: Sequence[int], last: int, least: int) -> int:
    """The smallest budget with which no run of any round has fewer than `least` steps.

    Half of the budget is for screening, half for the last round; all of it where there is no screening.

    Args:
        screens: runs of each screening round.
        last: runs of the last round.
        least: steps.
    """
    if not screens:
        return last * least
    return 2 * least * max(len(screens) * max(screens), last)
