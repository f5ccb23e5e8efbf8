"""When the probe measures: a pure function of what the batches hold, so that two equal runs measure alike."""

from collections.abc import Mapping
from typing import Any

BACKWARD = 2
"""A backward counts as two forwards."""
STATE = ("work", "spent", "opened", "windows", "left", "visits")


class Schedule:
    """Windows of consecutive switches, and probes of gradients, each for half of a budget counted in tokens.

    A window is measured at every switch for 2T visits, enough for each of T tasks in turn to be left and taken up
    again. One opens where it is paid for: forward tokens of measurements stay below `share` / 2 of the tokens of
    training steps so far, which count three times, for forward and backward. The last one opens near the end of the run
    (as long before as 2T visits take on average), and earlier ones leave enough of the run's whole budget for it; a run
    too short for any has this one all the same. Or, if `every` is given, one opens `every` steps after the last. The
    losses at the start of the run are measured in any case.

    Args:
        num_tasks: T.
        steps: of the run.
        share: of the run's work that measuring may cost.
        every: steps between two windows, and between two probes of gradients; `None`: by `share`.
        price: forward tokens of one measurement at a switch.
    """

    def __init__(self, num_tasks: int, steps: int, share: float, every: int | None, price: int) -> None:
        self.num_tasks, self.steps, self.share, self.every = num_tasks, steps, share, every
        self.least = (2 * num_tasks + 1) * price
        """Forward tokens of a window, before there was one to go by."""
        self.work = 0
        """Tokens of training steps, three times."""
        self.spent = {"windows": 0, "gradients": 0}
        """Forward tokens of measurements."""
        self.opened = {"windows": 0, "gradients": 0}
        """Step of the last window and of the last probe of gradients."""
        self.windows = self.left = self.visits = 0
        """Windows opened; switches that the open one still has; visits begun."""

    def trained(self, tokens: int) -> None:
        """A training step went through so many tokens."""
        self.work += (1 + BACKWARD) * tokens

    def paid(self, what: str, tokens: int) -> None:
        """A measurement took so many forward tokens."""
        self.spent[what] += tokens

    def at_switch(self, step: int) -> bool:
        """Whether to measure at this switch; the beginning of the run is one."""
        self.visits += 1
        if not self.left and self._opens(step):
            self.left, self.opened["windows"] = 2 * self.num_tasks + 1, step
            self.windows += 1
        measures = self.left > 0
        self.left -= measures
        return measures or not step

    def _opens(self, step: int) -> bool:
        if not step:
            return False
        price = max(self.spent["windows"] // self.windows if self.windows else 0, self.least)
        if step + 2 * self.num_tasks * step / (self.visits - 1) >= self.steps:
            return not self.windows or self.every is not None or self._is_time("windows", step, price)
        for_the_end = self.spent["windows"] + 2 * price <= self.share / 2 * self.work * self.steps / step
        return self._is_time("windows", step, price) and (for_the_end or self.every is not None)

    def at_gradients(self, step: int, tokens: int) -> bool:
        """Whether to compare gradients before this step, which would take so many forward tokens."""
        found = step > 0 and self._is_time("gradients", step, tokens)
        if found:
            self.opened["gradients"] = step
        return found

    def _is_time(self, what: str, step: int, tokens: int) -> bool:
        if self.every is not None:
            return step - self.opened[what] >= self.every
        return self.spent[what] + tokens <= self.share / 2 * self.work

    def state(self) -> dict[str, Any]:
        """Plain data to go on from."""
        values = {name: getattr(self, name) for name in STATE}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        for name in STATE:
            setattr(self, name, state[name])
