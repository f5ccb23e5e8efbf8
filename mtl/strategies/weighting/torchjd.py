"""Every aggregator of TorchJD (Rey and Quinton), an optional package: `pip install '.[torchjd]'`."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from numpy import ndarray
from torch import Tensor, nn

from mtl.errors import MtlError
from mtl.functional.gramian import NOISE
from mtl.strategies.weighting.base import Signals, Weighting

SUMS = ("ConFIG", "FairGrad", "GradDrop", "GradVac", "PCGrad", "Sum")
"""Those whose weights come to K for gradients of length 1 at right angles; `reduction` takes 1 for the others."""
PLAIN = (int, float, bool, str, tuple, Tensor, ndarray)
"""What can be kept in a checkpoint."""


class TorchJD(Weighting):
    """The aggregator of that name in `torchjd.aggregation`, in our step: on the Gramian where it needs no more.

    Those that remember (NashMTL, GradVac, ExcessMTL, PCD) do so for each set of tasks that meet in a step; the
    checkpoint keeps it, where their own `state_dict` is not enough to go on from. Random ones draw from torch's global
    generator. Where an aggregator has no weights (ConFIG, GradDrop, TrimmedMean), those of the weighted sum that comes
    nearest to its direction are recorded.

    Args:
        tasks: the run's tasks and their kinds.
        aggregator: name of the class.
        options: of its constructor. A list stands for a tensor; of one number for each task of the run, a step takes
            those of its tasks. `n_tasks` is known.

    Raises:
        ImportError: TorchJD, or a package that this aggregator needs, is not installed.
        ValueError: there is no such aggregator, or it does not take these options.

    """

    needs_gramian = True

    def __init__(
        self, tasks: Mapping[str, str], aggregator: str = "UPGrad", options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(tasks)
        try:
            from torchjd import aggregation
        except ImportError as error:
            raise ImportError("TorchJD is not installed: pip install 'mtl[torchjd]'") from error
        bases = (aggregation.Aggregator, aggregation.WeightedAggregator, aggregation.GramianWeightedAggregator)
        classes = {name: getattr(aggregation, name) for name in aggregation.__all__}
        known = {
            name: cls
            for name, cls in classes.items()
            if inspect.isclass(cls) and issubclass(cls, aggregation.Aggregator) and cls not in bases
        }
        if aggregator not in known:
            raise ValueError(f"`aggregator` should be {', '.join(sorted(known))}. Found '{aggregator}'")
        self.aggregator, self.options = aggregator, dict(options or {})
        self._class = known[aggregator]
        self.needs_jacobian = not issubclass(self._class, bases[2])
        self.weighted = issubclass(self._class, bases[1])
        self.same_coordinates = aggregator == "ExcessMTL"
        self.made: dict[tuple[int, ...], Any] = {}
        """An aggregator for each set of tasks that met in a step: not a submodule, its state is ours to keep."""
        self._of(tuple(range(len(self.tasks))))

    @property
    def name(self) -> str:
        """TorchJD's own."""
        return f"TorchJD's {self.aggregator}"

    def total(self, tasks: int) -> float:
        """As the aggregator has it."""
        return float(tasks) if self.aggregator in SUMS else 1.0

    def forward(self, signals: Signals) -> Tensor:
        """K weights."""
        if self.needs_jacobian:
            return super().forward(signals)
        gramian = signals.require_gramian()
        if not gramian.isfinite().all():
            return self.or_equal(torch.full_like(gramian.diagonal(), torch.nan))
        return self.or_equal(self._run(signals, lambda aggregator: aggregator.gramian_weighting(gramian)))

    def combine(self, signals: Signals) -> tuple[Tensor, Tensor]:
        """K weights and the direction."""
        rows = signals.require_jacobian()
        if self.weighted:
            weights = self.or_equal(self._run(signals, lambda aggregator: aggregator.weighting(rows)))
            return weights, weights @ rows
        direction = self._run(signals, lambda aggregator: aggregator(rows))
        return nearest(rows, direction), direction

    def _run(self, signals: Signals, what: Callable[[Any], Tensor]) -> Tensor:
        tasks = tuple(signals.tasks.tolist())
        try:
            return what(self._of(tasks)).detach()
        except ValueError as error:
            raise MtlError(f"{self.name} in a step of {len(tasks)} tasks: {' '.join(str(error).split())}") from error

    def _of(self, tasks: tuple[int, ...]) -> Any:
        """The aggregator for a step of these tasks."""
        if tasks not in self.made:
            options = {name: self._option(value, tasks) for name, value in self.options.items()}
            if self.aggregator == "NashMTL":
                options["n_tasks"] = len(tasks)
            try:
                self.made[tasks] = self._class(**options)
            except TypeError as error:
                allowed = [name for name in inspect.signature(self._class.__init__).parameters if name != "self"]
                raise ValueError(
                    f"`options` of {self.aggregator} should be among {', '.join(allowed) or 'none'}, and all without a "
                    f"default: {error}"
                ) from error
        return self.made[tasks]

    def _option(self, value: Any, tasks: tuple[int, ...]) -> Any:
        if not isinstance(value, Sequence) or isinstance(value, str):
            return value
        found = torch.tensor(value, dtype=torch.float32)
        return found[list(tasks)] if len(value) == len(self.tasks) else found

    def get_extra_state(self) -> dict[str, dict[str, Any]]:
        """What the aggregators remember: their modules' numbers, tensors and arrays, by set of tasks."""
        return {
            ",".join(map(str, tasks)): {name: remembered(module) for name, module in aggregator.named_modules()}
            for tasks, aggregator in self.made.items()
        }

    def set_extra_state(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """From `load_state_dict`."""
        for key, modules in state.items():
            aggregator = self._of(tuple(int(place) for place in key.split(",")))
            for name, module in aggregator.named_modules():
                recall(module, modules[name])


def nearest(rows: Tensor, direction: Tensor) -> Tensor:
    """The K weights whose weighted sum of the K x N rows comes nearest to the direction: least squares."""
    unit, norms = rows.double(), rows.double().norm(dim=1)
    unit = unit / torch.where(norms > 0, norms, 1.0)[:, None]
    inverse = torch.linalg.pinv(unit @ unit.T, rtol=NOISE * len(rows), hermitian=True)
    return torch.where(norms > 0, inverse @ (unit @ direction.double()) / norms, 0.0).to(rows)


def remembered(module: nn.Module) -> dict[str, Any]:
    """A module's own attributes and buffers of a plain kind; arrays as tensors."""
    own = {name: value for name, value in vars(module).items() if name not in vars(nn.Module())} | module._buffers
    return {
        name: torch.from_numpy(value) if isinstance(value, ndarray) else value
        for name, value in own.items()
        if value is None or isinstance(value, PLAIN)
    }


def recall(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Take them back; NashMTL's problem, which cannot be saved, is stated anew."""
    for name, value in state.items():
        array = isinstance(getattr(module, name), ndarray)
        setattr(module, name, value.numpy() if array else value)
    if isinstance(state.get("step"), float) and state["step"]:
        begin: Any = getattr(module, "_init_optim_problem", lambda: None)
        begin()
