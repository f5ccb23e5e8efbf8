"""The switching plan: which rows of which tasks each step of a run sees."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mtl.strategies.switching.composition.base import Composition
from mtl.strategies.switching.feedback import Progress, Tally
from mtl.strategies.switching.order.base import Order
from mtl.strategies.switching.rate.base import Rate


class Plan:
    """A run's steps, planned block by block from three policies that know nothing of each other.

    When a block begins, the rate says how much of it each task should have, whole numbers are made of that (see
    `Quota`), and composition and order lay them out. A block is a pure function of (seed, block, rates, what is owed);
    rates are a function of the step, or, where they adapt, of the feedback on earlier blocks. Both are in the state,
    so a run that was cut off goes on with the very same rows, and so does every rank.

    Args:
        sizes: training rows of each task of the run, in its order.
        batch_size: rows of each task in a step that all tasks share alike.
        steps: optimiser steps of the run; `None`: its length is given in another unit, and `done` is told as it goes.
        seed: of random orders.
        composition: what stands together in a step.
        order: how the units of a block follow each other.
        rate: each task's share.
        block: steps of a block, at least; an order of visits makes it a whole number of rounds, and one that spans the
            run makes it the run.
        rows: length of the run in rows of all tasks, where `steps` is `None`. If every step has as many, that is a
            number of steps, the last of which reaches it.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        batch_size: int,
        steps: int | None,
        seed: int,
        composition: Callable[..., Composition],
        order: Callable[..., Order],
        rate: Callable[..., Rate],
        block: int = 100,
        rows: int | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("steps", steps), ("block", block)):
            if value is not None and value < 1:
                raise ValueError(f"`{name}` should be at least 1. Found {value}")
        self.sizes, self.batch_size, self.seed = dict(sizes), batch_size, seed
        self.composition = composition(self.sizes, batch_size)
        self.order = order(self.composition.names)
        self.rate = rate(self.sizes)
        if rows is not None and rows < self.composition.rows:
            raise ValueError(f"`rows` should be at least the {self.composition.rows} of a step. Found {rows}")
        if steps is None and rows is not None and self.composition.steady:
            steps = -(-rows // self.composition.rows)
        self.steps = steps
        """Of the run; `None` where they are not known in advance."""
        self.total_rows = rows if steps is None else steps * self.composition.rows
        self.done = 0.0
        """Share of the run that is done, from who measures it; not read where `steps` is known."""
        if steps is not None and self.order.length > steps:
            raise ValueError(f"`length` should be at most the run's {steps} steps. Found {self.order.length}")
        length = self.order.length * len(self.composition.names) if self.order.visits else 1
        self.block = -(-block // length) * length
        if self.order.whole_run:
            if steps is None:
                raise ValueError("`order` plans the whole run at once: its length should be in steps or rows")
            self.block = steps
        self.tally = Tally(len(self.sizes))
        self.retired: set[str] = set()
        self.planned: Counter[str] = Counter(dict.fromkeys(self.sizes, 0))
        """Rows of each task in the blocks begun so far."""
        self.rates = torch.full((len(self.sizes),), torch.nan, dtype=torch.float64)
        """T shares of the present block."""
        self._at = -1
        self._table: list[list[int]] = []
        self._before: dict[str, Any] = {}
        self.check()

    def check(self) -> None:
        """Ask a rate that knows the run in advance for all of it: what it can't answer is found before training.

        Where the steps are not known, it is asked for each hundredth of the run, as if that were a block.
        """
        if self.rate.adaptive:
            return
        for step in range(0, 101 * self.block if self.steps is None else self.steps, self.block):
            self.done = step / (100 * self.block)
            shares(self.rate, self._progress(step), self.sizes)
        self.done = 0.0

    def rows(self, step: int) -> dict[str, int]:
        """Rows of each task in this step; tasks that are absent are left out. Blocks are asked for in their turn."""
        block, place = divmod(step, self.block)
        if block == self._at + 1:
            self._begin(block)
        if block != self._at or step < 0 or (self.steps is not None and step >= self.steps):
            raise ValueError(f"`step` should be in block {self._at} or the next, of {self.steps} steps. Found {step}")
        return {name: count for name, count in zip(self.sizes, self._table[place], strict=True) if count}

    @property
    def began(self) -> int:
        """Step at which the present block began."""
        return max(self._at, 0) * self.block

    def _progress(self, step: int) -> Progress:
        return Progress(step, self.steps, self.total_rows, min(self.done, 1.0))

    def _begin(self, block: int) -> None:
        if block and self.rate.adaptive:
            self.rate.observe(self.tally.take(self.rates))
        self.rates = shares(self.rate, self._progress(block * self.block), self.sizes, self.retired)
        self._before = {"composition": self.composition.state_dict(), "planned": dict(self.planned)}
        self._lay_out(block)

    def _lay_out(self, block: int) -> None:
        steps = self.block if self.steps is None else min(self.block, self.steps - block * self.block)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + block)
        table = self.composition.deal(self.rates, steps, self.order, generator)
        self._table, self._at = table.tolist(), block
        self.planned.update(dict(zip(self.sizes, table.sum(0).tolist(), strict=True)))

    def state_dict(self) -> dict[str, Any]:
        """What the present block was made from, and what the rate has learned."""
        return {
            "block": self._at,
            "rates": self.rates.clone(),
            "before": self._before,
            "rate": self.rate.state_dict(),
            "tally": self.tally.state_dict(),
            "retired": sorted(self.retired),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; nothing is replayed but the layout of one block."""
        self.rate.load_state_dict(state["rate"])
        self.tally.load_state_dict(state["tally"])
        self.retired = set(state["retired"])
        self.rates, self._before = state["rates"].clone(), state["before"]
        if state["block"] >= 0:
            self.composition.load_state_dict(self._before["composition"])
            self.planned = Counter(self._before["planned"])
            self._lay_out(state["block"])


def shares(rate: Rate, progress: Progress, sizes: Mapping[str, int], retired: set[str] | None = None) -> Tensor:
    """T shares that sum to 1; ValueError for rates that are no shares."""
    found = rate(progress).double()
    if retired and len(retired) < len(sizes):
        found = torch.where(torch.tensor([name in retired for name in sizes]), 0.0, found)
        if not bool(found.sum() > 0):
            found = torch.tensor([float(name not in retired) for name in sizes], dtype=torch.float64)
    if not bool((found.isfinite() & (found >= 0)).all()) or not bool(found.sum() > 0):
        named = ", ".join(f"{name} {value:.4g}" for name, value in zip(sizes, found.tolist(), strict=True))
        raise ValueError(f"`rate` should give finite shares >= 0, not all 0. Found {named} at step {progress.step}")
    return found / found.sum()
