"""Blocked training: several steps of one task before the next task's turn."""

from collections.abc import Mapping

from mtl.strategies.switching.order.round_robin import RoundRobin


class Blocks(RoundRobin):
    """Round robin over visits of `length` steps each; the rate decides how many visits a task gets.

    Args:
        sizes: training rows of each task.
        length: steps of a visit. From 1 (interleaved) to steps / T (each task once).
    """

    interleaves, visits = False, True

    def __init__(self, sizes: Mapping[str, int], length: int = 10) -> None:
        super().__init__(sizes)
        if length < 1:
            raise ValueError(f"`length` should be at least 1. Found {length}")
        self.length = length
