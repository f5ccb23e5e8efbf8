"""Ways to take a training step of workload `synth`: by hand, a backward a task, and ours."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn

from benchmarks.synth import BATCHES, TRUNKS, C, make_loader, make_optimizer, make_tasks
from mtl.cli.instantiate import instantiate
from mtl.data.batch import Batch
from mtl.model.base import Trunk
from mtl.model.multitask import MultiTaskModel
from mtl.strategies.weighting.base import Signals, Weighting
from mtl.training.gradients import weigh_gradients
from mtl.training.where import Where

CONF = Path(__file__).parents[1] / "conf" / "weighting"
WEIGHTINGS = sorted(path.stem for path in CONF.glob("*.yaml") if not path.stem.startswith("fixed_"))

Step = Callable[[Batch], Tensor]
"""One training step, to the K losses before it."""


@dataclass(frozen=True)
class Work:
    """The same start and batches for every arm."""

    trunk: str
    tasks: int
    own_rows: bool

    def make_trunk(self) -> Trunk:
        """The same weights each time."""
        torch.manual_seed(0)
        return TRUNKS[self.trunk]()

    def batches(self) -> list[Batch]:
        """All of them, made in advance."""
        return list(make_loader(make_tasks(self.tasks, self.own_rows), BATCHES))


class ByHand(nn.Module):
    """Trunk and heads as one would write them, and the K losses of a batch."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.trunk = work.make_trunk()
        self.heads = nn.ModuleDict({f"task{number}": nn.Linear(self.trunk.width, C) for number in range(work.tasks)})

    def texts(self, batch: Batch) -> Tensor:
        """U x D features."""
        return self.trunk.pool(self.trunk(batch.ids, batch.lengths), batch.lengths)

    def losses(self, batch: Batch, texts: Tensor) -> list[Tensor]:
        """A tensor a task."""
        return [
            F.cross_entropy(self.heads[name](texts if rows.inputs is None else texts[rows.inputs]), rows.targets)
            for name, rows in batch.tasks.items()
        ]


def loop(work: Work) -> Step:
    """The sum of the losses, one backward."""
    model = ByHand(work)
    optimizer = make_optimizer(model.parameters())

    def step(batch: Batch) -> Tensor:
        losses_K = torch.stack(model.losses(batch, model.texts(batch)))
        optimizer.zero_grad()
        losses_K.sum().backward()
        optimizer.step()
        return losses_K.detach()

    return step


def backward_a_task(work: Work) -> Step:
    """The limit of all that look at exact gradients one by one: K trunk backwards, summed, no Gramian and no solver."""
    model = ByHand(work)
    parameters = list(model.parameters())
    optimizer = make_optimizer(parameters)

    def step(batch: Batch) -> Tensor:
        losses = model.losses(batch, model.texts(batch))
        optimizer.zero_grad()
        for place, loss in enumerate(losses):
            loss.backward(retain_graph=place < len(losses) - 1)
        optimizer.step()
        return torch.stack(losses).detach()

    return step


def make_weighting(name: str, tasks: int) -> Weighting:
    """As `weighting=name` makes it; MtlError where it doesn't fit the tasks."""
    kinds = {f"task{number}": "classification" for number in range(tasks)}
    return instantiate("weighting", OmegaConf.load(CONF / f"{name}.yaml"), tasks=kinds)


def ours(work: Work, weighting: Weighting, where: Where) -> Step:
    """What `MultiTaskModule` does, without Lightning and without a record."""
    kinds = {task: found.labelled.task.kind for task, found in make_tasks(work.tasks).items()}
    model = MultiTaskModel(work.make_trunk(), kinds)
    losses = {task: kind.loss for task, kind in kinds.items()}
    groups = [{"params": list(model.parameters())}]
    if own := list(weighting.parameters()):
        groups.append({"params": own})
    optimizer = make_optimizer(groups)
    places, count = torch.arange(work.tasks), itertools.count()

    def signals(losses_K: Tensor) -> Signals:
        done = next(count)
        return Signals(places, losses_K, done, 10_000, done // BATCHES)

    def step(batch: Batch) -> Tensor:
        if weighting.needs_gramian:
            optimizer.zero_grad()
            done = weigh_gradients(model, batch, losses, weighting, signals, where)
            assert done is not None
            told, _, total = done
        else:
            outputs = model(batch)
            losses_K = torch.stack([losses[task](outputs[task], rows.targets) for task, rows in batch.tasks.items()])
            told = signals(losses_K.detach())
            total = (weighting(told) * losses_K).sum() + weighting.penalty(told)
            optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return told.losses

    return step
