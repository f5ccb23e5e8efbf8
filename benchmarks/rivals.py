"""The steps of other libraries, as they document them, where they are installed: TorchJD and LibMTL."""

from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.arms import ByHand, Step, Work
from benchmarks.synth import make_optimizer
from mtl.data.batch import Batch
from mtl.training.passes import one

TORCHJD = {
    "upgrad": "UPGrad",
    "mgda": "MGDA",
    "pcgrad": "PCGrad",
    "aligned_mtl": "AlignedMTL",
    "imtl_g": "IMTLG",
    "cagrad": "CAGrad",
    "nash_mtl": "NashMTL",
    "fairgrad": "FairGrad",
    "gradvac": "GradVac",
    "dualproj": "DualProj",
    "conflict_free": "ConFIG",
    "famo": "FAMO",
}
"""TorchJD's names of our weightings."""
LIBMTL = {
    "equal": "EW",
    "uncertainty_log": "UW",
    "dwa": "DWA",
    "rlw": "RLW",
    "gls": "GLS",
    "famo": "FAMO",
    "excess_mtl": "ExcessMTL",
    "upgrad": "UPGrad",
    "mgda": "MGDA",
    "pcgrad": "PCGrad",
    "cagrad": "CAGrad",
    "gradvac": "GradVac",
    "aligned_mtl": "Aligned_MTL",
    "imtl": "IMTL",
    "nash_mtl": "Nash_MTL",
    "fairgrad": "FairGrad",
    "moco": "MoCo",
    "db_mtl": "DB_MTL",
    "gradnorm": "GradNorm",
    "grad_drop": "GradDrop",
}
"""LibMTL's (its STCH weighs by the mean losses of its fifth epoch, which no step here has)."""
AT_FEATURES = ("mgda", "imtl", "gradnorm", "grad_drop")
"""Those that LibMTL can weigh by the gradients at the features (`rep_grad`)."""


def rivals(work: Work, name: str) -> dict[str, Callable[[], Step] | str]:
    """What makes each other library's step, or why there is none."""
    found: dict[str, Callable[[], Step] | str] = {}
    if name in TORCHJD and find_spec("torchjd"):
        found["TorchJD"] = partial(torchjds_famo, work) if name == "famo" else partial(torchjds, work, name)
    if name in LIBMTL and not without_libmtl():
        if name == "aligned_mtl":
            return found | {"LibMTL": "it calls torch.symeig, which torch no longer has"}
        if name != "grad_drop":
            found["LibMTL"] = partial(libmtls, work, name)
        if name in AT_FEATURES and not work.own_rows:
            found["LibMTL, features"] = partial(libmtls, work, name, features=True)
    return found


def missing() -> dict[str, str]:
    """The libraries that are not there, and why."""
    found = {} if find_spec("torchjd") else {"TorchJD": "not installed (`pip install '.[torchjd]'`)"}
    return found | ({"LibMTL": why} if (why := without_libmtl()) else {})


@cache
def without_libmtl() -> str:
    """Why LibMTL can't be used; empty where it can."""
    if not find_spec("LibMTL"):
        return "not importable (it is not on the package index: put its source on PYTHONPATH)"
    try:
        import_module("LibMTL.config")
    except ImportError as error:
        return f"not importable: {error}"
    return ""


def torchjds(work: Work, name: str) -> Step:
    """TorchJD's documented step, one backward at a time: its faster and smaller way on a CPU."""
    from torchjd import aggregation
    from torchjd.autojac import jac_to_grad, mtl_backward

    options = {
        "nash_mtl": {"n_tasks": work.tasks},
        "cagrad": {"c": 0.4},
        "fairgrad": {"alpha": 2.0},
    }.get(name, {})
    aggregator = getattr(aggregation, TORCHJD[name])(**options)
    model = ByHand(work)
    shared = list(model.trunk.parameters())
    optimizer = make_optimizer(model.parameters())

    def step(batch: Batch) -> Tensor:
        texts = model.texts(batch)
        losses = model.losses(batch, texts)
        optimizer.zero_grad()
        mtl_backward(losses, features=texts, parallel_chunk_size=1)
        jac_to_grad(shared, aggregator)
        optimizer.step()
        return torch.stack(losses).detach()

    return step


def torchjds_famo(work: Work) -> Step:
    """TorchJD's documented step of its FAMO: after it the losses of the same batch once more, without gradients."""
    from torchjd import scalarization

    scalarizer = scalarization.FAMO(work.tasks)
    model = ByHand(work)
    optimizer = make_optimizer(model.parameters())

    def step(batch: Batch) -> Tensor:
        losses_K = torch.stack(model.losses(batch, model.texts(batch)))
        optimizer.zero_grad()
        scalarizer(losses_K).backward()
        optimizer.step()
        with torch.no_grad():
            scalarizer.update(torch.stack(model.losses(batch, model.texts(batch))))
        return losses_K.detach()

    return step


def libmtls(work: Work, name: str, features: bool = False) -> Step:
    """The step of LibMTL's trainer with its own model class, on the CPU (the trainer itself knows `cuda:0` alone).

    Its options are the defaults of its command line; FAMO's second forward is part of the step, as in the trainer.
    """
    config: Any = import_module("LibMTL.config")
    architecture: Any = import_module("LibMTL.architecture")
    weighting: Any = import_module("LibMTL.weighting")
    options = vars(config.LibMTL_args.parse_args([]))
    by_hand = ByHand(work)
    tasks = list(by_hand.heads)

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = by_hand.trunk

        def forward(self, batch: Batch) -> Tensor:
            return by_hand.texts(batch)

    made = type("Model", (architecture.HPS, getattr(weighting, LIBMTL[name])), {})
    model = made(tasks, Encoder, by_hand.heads, features, work.own_rows, torch.device("cpu"))
    model.init_param()
    # in the third epoch DWA and GradNorm do what they are for; before, they weigh equally
    model.epoch, model.epochs, model.train_loss_buffer = 2, 3, torch.ones(work.tasks, 3).numpy()
    optimizer = make_optimizer(model.parameters())

    def losses_of(batch: Batch) -> Tensor:
        """One tensor of all, filled in as the trainer does."""
        losses_K = torch.zeros(work.tasks)
        outputs = {} if work.own_rows else model(batch)
        for place, task in enumerate(tasks):
            output = model(one(batch, task, apart=True), task)[task] if work.own_rows else outputs[task]
            losses_K[place] = nn.functional.cross_entropy(output, batch.tasks[task].targets)
        return losses_K

    def step(batch: Batch) -> Tensor:
        losses_K = losses_of(batch)
        optimizer.zero_grad(set_to_none=False)
        model.backward(losses_K, **options)
        optimizer.step()
        if name == "famo":
            with torch.no_grad():
                model.update_w(losses_of(batch).detach())
        return losses_K.detach()

    return step
