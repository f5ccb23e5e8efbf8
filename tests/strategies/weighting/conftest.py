"""Every file of conf/weighting is tried; a new one needs no word here."""

import importlib
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml

from mtl.strategies.weighting.base import Signals, Weighting
from mtl.strategies.weighting.claims import Claim

CONF = Path(__file__).parents[3] / "conf" / "weighting"


@dataclass
class Maker:
    """Builds the weighting of one file, for any number of tasks that its options allow."""

    cls: type[Weighting]
    options: dict
    num_tasks: int | None = None

    def __call__(self, num_tasks: int) -> Weighting:
        return self.cls({f"task{i}": "classification" for i in range(num_tasks)}, **self.options)


def maker(path: Path) -> Maker:
    options = yaml.safe_load(path.read_text())
    module, name = options.pop("_target_").rsplit(".", 1)
    lengths = [len(value) for value in options.values() if isinstance(value, list)]
    return Maker(getattr(importlib.import_module(module), name), options, lengths[0] if lengths else None)


MAKERS = {path.stem: maker(path) for path in sorted(CONF.glob("*.yaml"))}


KINDS = {
    "make": lambda make: True,
    "make_on_gramian": lambda make: make.cls.needs_gramian and not make.cls.needs_jacobian,
    "make_on_jacobian": lambda make: make.cls.needs_jacobian,
    "make_by_chance": lambda make: any("chance" in name for name in make(make.num_tasks or 4).state_dict()),
    "make_equivariant": lambda make: Claim.PERMUTATION_EQUIVARIANT in make.cls.claims,
}
"""Arguments of a test, and the weightings that it is run with."""


def pytest_generate_tests(metafunc):
    if "claim" in metafunc.fixturenames and "make" in metafunc.fixturenames:
        pairs = [
            pytest.param(make, claim, id=f"{name}-{claim.name.lower()}")
            for name, make in MAKERS.items()
            for claim in sorted(make.cls.claims, key=lambda claim: claim.name)
        ]
        metafunc.parametrize(("make", "claim"), pairs)
        return
    for argument in set(metafunc.fixturenames) & set(KINDS):
        wanted = {name: make for name, make in MAKERS.items() if KINDS[argument](make)}
        metafunc.parametrize(argument, list(wanted.values()), ids=list(wanted))


def pytest_itemcollected(item):
    """Its report says which weighting a test tried, and which claim; tests/conftest.py counts them."""
    params = getattr(item, "callspec", None) and item.callspec.params
    made = [name for name, make in MAKERS.items() if params and any(make is value for value in params.values())]
    item.user_properties += [("weighting", name) for name in made]
    item.user_properties += [("claim", (name, params["claim"].name)) for name in made if "claim" in params]


@pytest.fixture(autouse=True)
def _one_thread_and_seeded():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def signals():
    """Signals of a random step: `signals(tasks, seed, step)`."""

    def make(tasks, seed=0, step=0, epoch=None):
        generator = torch.Generator().manual_seed(1000 * seed + step)
        count = len(tasks)
        jacobian = torch.randn(count, 50, generator=generator)
        losses = torch.rand(count, generator=generator) + 0.1
        epoch = step // 2 if epoch is None else epoch
        return Signals(torch.as_tensor(tasks), losses, step, 20, epoch, jacobian @ jacobian.T, jacobian)

    return make
