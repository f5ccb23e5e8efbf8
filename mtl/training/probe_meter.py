"""Measurements on a model that leave no trace in it: losses, gradients, lookaheads on the probe's rows."""

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from mtl.data.batch import Announced, Batch, collate
from mtl.data.kinds.tagging import IGNORED
from mtl.data.task import Task
from mtl.model.multitask import MultiTaskModel
from mtl.training.probe_rows import probe_rows


@contextmanager
def undisturbed(model: nn.Module) -> Generator[None, None, None]:
    """Evaluation mode inside; afterwards each module's own mode and the random state are as they were.

    cuDNN goes back through no recurrent net in evaluation mode, so it is off.
    """
    modes = [(module, module.training) for module in model.modules()]
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices), torch.backends.cudnn.flags(enabled=False):
        model.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training


@contextmanager
def moved(parameters: Sequence[Tensor], by: Sequence[Tensor], alpha: float = 1.0) -> Generator[None, None, None]:
    """The parameters moved by `alpha` times a direction; afterwards the very bits that they were."""
    kept = [parameter.detach().clone() for parameter in parameters]
    try:
        with torch.no_grad():
            for parameter, part in zip(parameters, by, strict=True):
                parameter.add_(part, alpha=alpha)
        yield
    finally:
        with torch.no_grad():
            for parameter, part in zip(parameters, kept, strict=True):
                parameter.copy_(part)


class Meter:
    """Losses and gradients of T tasks on fixed rows.

    A task's shorter rows go through the model apart from its longer ones, so that little is padded; its loss is the
    mean over all of its rows (tokens, for a task that tags them).

    Args:
        tasks: rows with inputs, in the order of the run.
        rows: probe rows of each task.
        seed: of their choice.
    """

    def __init__(self, tasks: Mapping[str, Announced], rows: int, seed: int) -> None:
        self.tasks: list[Task] = [task.labelled.task for task in tasks.values()]
        halves = in_halves(probe_rows(tasks, rows, seed), tasks)
        self.together = [collate(half, tasks) for half in halves if half]
        self.alone = [[collate({name: half[name]}, tasks) for half in halves if name in half] for name in tasks]
        self.tokens_together = sum(batch.ids.numel() for batch in self.together)
        self.tokens_alone = [sum(batch.ids.numel() for batch in batches) for batches in self.alone]

    def to(self, device: torch.device) -> None:
        """Bring the rows there."""
        if self.together[0].ids.device != device:
            self.together = [batch.to(device) for batch in self.together]
            self.alone = [[batch.to(device) for batch in batches] for batches in self.alone]

    @torch.no_grad()
    def losses(self, model: MultiTaskModel) -> Tensor:
        """T losses."""
        return torch.stack(self._losses(model, self.together, self.tasks))

    @torch.no_grad()
    def loss(self, model: MultiTaskModel, place: int) -> float:
        """The loss of one task."""
        return float(self._losses(model, self.alone[place], [self.tasks[place]])[0])

    def gradients(self, model: MultiTaskModel, parameters: Sequence[Tensor]) -> list[Sequence[Tensor]]:
        """The gradient of each task's loss at the parameters."""
        found = []
        for task, batches in zip(self.tasks, self.alone, strict=True):
            (loss,) = self._losses(model, batches, [task])
            found.append(torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True))
        return found

    def lookahead(
        self, model: MultiTaskModel, parameters: Sequence[Tensor], steps: Iterable[Sequence[Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """T losses as they are, and T x T: of all tasks (columns) after each step (rows) is subtracted."""
        before, after = self.losses(model), []
        for step in steps:
            with moved(parameters, step, -1):
                after.append(self.losses(model))
        return before, torch.stack(after)

    def _losses(self, model: MultiTaskModel, batches: Iterable[Batch], tasks: Sequence[Task]) -> list[Tensor]:
        sums: dict[str, list[Tensor]] = {task.name: [] for task in tasks}
        counts: dict[str, list[int]] = {task.name: [] for task in tasks}
        for batch in batches:
            outputs = model(batch)
            for task in tasks:
                if task.name in batch.tasks:
                    targets = batch.tasks[task.name].targets
                    count = int((targets != IGNORED).sum()) if task.kind.per_token else len(targets)
                    if not count:  # all tags were cut off
                        continue
                    sums[task.name].append(task.kind.loss(outputs[task.name], targets).float() * count)
                    counts[task.name].append(count)
        return [torch.stack(sums[task.name]).sum() / sum(counts[task.name]) for task in tasks]


def in_halves(rows: Mapping[str, np.ndarray], tasks: Mapping[str, Announced]) -> list[dict[str, np.ndarray]]:
    """Each task's shorter rows, and its longer ones; a task with a single row is in the second only."""
    found: list[dict[str, np.ndarray]] = [{}, {}]
    for name, mine in rows.items():
        ordered = mine[np.argsort(tasks[name].inputs.lengths[mine], kind="stable")]
        for half, part in zip(found, (ordered[: len(mine) // 2], ordered[len(mine) // 2 :]), strict=True):
            if len(part):
                half[name] = np.sort(part)
    return found


def shared_parameters(model: MultiTaskModel) -> dict[str, nn.Parameter]:
    """The parameters of trunk and learned prompts that train, by name: the trunk's as it calls them, `prompt.` before
    those of the table.
    """
    return {name.removeprefix("trunk."): part for name, part in model.shared().items() if part.requires_grad}


def common(model: MultiTaskModel, tasks: Iterable[str]) -> list[nn.Parameter]:
    """Of the shared parameters those that every task trains: a prompt's row of one task alone is left out."""
    own = {id(parameter) for name in tasks for parameter in model.idle([name])}
    return [parameter for parameter in shared_parameters(model).values() if id(parameter) not in own]


def layer_of(name: str) -> str:
    """The layer of a parameter: `prompt`, or its module in the trunk, with the number of a layer that its name ends in.

    `forwards.weight_ih_l0` is of `forwards.0`, `encoder.layers.1.norm.weight` of `encoder.layers.1`.
    """
    parts = name.split(".")
    if any(part.startswith("prompt") for part in parts):
        return "prompt"
    numbered = re.search(r"_l(\d+)(_reverse)?$", parts[-1])
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    owner = parts[: numbers[0] + 1] if numbers else parts[:-1] or parts
    return ".".join([*owner, numbered[1]] if numbered else owner)


def products(left: Sequence[Sequence[Tensor]], right: Sequence[Sequence[Tensor]]) -> Tensor:
    """T x T inner products of what `left` (rows) and `right` (columns) hold for each task, in float64 on the CPU."""
    total = torch.zeros(len(left), len(right), dtype=torch.float64)
    for parts in zip(zip(*left, strict=True), zip(*right, strict=True), strict=True):
        rows, columns = (torch.stack([part.flatten() for part in side]) for side in parts)
        total += (rows @ columns.T).double().cpu()
    return total


def gramians(names: Sequence[str], gradients: Sequence[Sequence[Tensor]]) -> dict[str, Tensor]:
    """T x T inner products over `all` parameters and over each layer."""
    layers: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        layers.setdefault(layer_of(name), []).append(place)
    found = {}
    for layer, places in layers.items():
        part = [[gradient[place] for place in places] for gradient in gradients]
        found[layer] = products(part, part)
    return {"all": torch.stack(list(found.values())).sum(0), **found}
