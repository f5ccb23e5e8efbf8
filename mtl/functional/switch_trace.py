"""What the probe of a run saw, as plain numbers: kept in checkpoints, written as JSON and read by reports."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mtl.functional.switch_visits import Visit

Matrix = list[list[float]]
"""T x T."""


@dataclass
class GradientProbe:
    """Task gradients on the probe rows before one step of training.

    Args:
        step: steps done.
        losses: T probe losses.
        after: T x T, losses of all tasks (columns) after the part of the optimiser's next step that each task's
            gradient brings (rows), on the shared parameters.
        gramians: inner products of the gradients: `all` shared parameters, each layer, and `prompt` parameters.
        pulls: inner products of those steps (rows, to be subtracted) and the gradients (columns).
        squares: T, squared norms of the steps of the weighted gradients.
    """

    step: int
    losses: list[float]
    after: Matrix
    gramians: dict[str, Matrix]
    pulls: Matrix
    squares: list[float]


@dataclass
class Trace:
    """The series of a run with T tasks.

    Args:
        tasks: their names.
        starts: step at which each visit began.
        sets: the sets of tasks (by their place) that were ever trained together.
        which: the place in `sets` of each visit.
        steps: steps done.
        losses: steps done -> T probe losses; nan where one was not measured.
        stale: (step of a switch, task switched to, change of its probe loss by what the first moment still held).
        gradients: gradient probes.
        free: sums over steps that took a Gramian anyway: `affinity`, `count` (T x T).
        first: T x 2, steps that began a visit of one task and the sum of the logarithms of their seconds.
        within: the same for the other steps of such visits.
        probe_seconds: spent on measuring.
        step_seconds: spent on training steps, without measuring.
        windows: how many windows of switches were opened.
        rows: of each task that went through a step.
        planned: rows of each task in the plan's blocks.
        sizes: training rows of each task.
    """

    tasks: list[str]
    starts: list[int] = field(default_factory=list)
    sets: list[list[int]] = field(default_factory=list)
    which: list[int] = field(default_factory=list)
    steps: int = 0
    losses: dict[int, list[float]] = field(default_factory=dict)
    stale: list[list[float]] = field(default_factory=list)
    gradients: list[GradientProbe] = field(default_factory=list)
    free: dict[str, Matrix] = field(default_factory=dict)
    first: Matrix = field(default_factory=list)
    within: Matrix = field(default_factory=list)
    probe_seconds: float = 0.0
    step_seconds: float = 0.0
    windows: int = 0
    rows: dict[str, float] = field(default_factory=dict)
    planned: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        T = len(self.tasks)
        self.free = self.free or {name: [[0.0] * T for _ in range(T)] for name in ("affinity", "count")}
        self.first = self.first or [[0.0, 0.0] for _ in range(T)]
        self.within = self.within or [[0.0, 0.0] for _ in range(T)]

    def begin(self, step: int, tasks: list[int]) -> None:
        """A visit of these tasks begins."""
        if tasks not in self.sets:
            self.sets.append(tasks)
        self.starts.append(step)
        self.which.append(self.sets.index(tasks))

    @property
    def present(self) -> list[int]:
        """The tasks of the last visit; none before the first."""
        return self.sets[self.which[-1]] if self.which else []

    @property
    def visits(self) -> list[Visit]:
        """The visits so far."""
        ends, sets = [*self.starts[1:], self.steps], [tuple(tasks) for tasks in self.sets]
        return [Visit(start, end, sets[kind]) for start, end, kind in zip(self.starts, ends, self.which, strict=True)]

    @property
    def share_of_time(self) -> float:
        """Seconds of measuring over seconds of training steps; nan before a step."""
        return self.probe_seconds / self.step_seconds if self.step_seconds else math.nan

    def state(self) -> dict[str, Any]:
        """Plain data; a checkpoint takes it as it is."""
        return vars(self) | {"gradients": [asdict(probe) for probe in self.gradients]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Trace":
        """The trace that `state` came from."""
        fields: dict[str, Any] = dict(state)
        fields["gradients"] = [GradientProbe(**probe) for probe in fields["gradients"]]
        return cls(**fields)

    def to_json(self) -> str:
        """As JSON, with null for nan."""
        return json.dumps(_each(self.state(), lambda value: None if math.isnan(value) else value))

    @classmethod
    def from_json(cls, text: str) -> "Trace":
        """The trace that `to_json` wrote."""
        state = _each(json.loads(text), lambda value: value, missing=math.nan)
        state["losses"] = {int(step): values for step, values in state["losses"].items()}
        return cls.from_state(state)


def _each(node: Any, number: Callable[[float], float | None], missing: float | None = None) -> Any:
    """The same tree with every float put through `number`, and None replaced."""
    if isinstance(node, Mapping):
        return {key: _each(child, number, missing) for key, child in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_each(child, number, missing) for child in node]
    return missing if node is None else number(node) if isinstance(node, float) else node
