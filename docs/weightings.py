"""Writes docs/weightings.md from conf/weighting and the classes it names: `python -m docs.weightings`."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import yaml

from mtl.strategies.weighting import claims
from mtl.strategies.weighting.base import Signals, Weighting

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_suffix(".md")
TAKEN = {"needs_jacobian": "Jacobian", "needs_gramian": "Gramian"}
COSTS = {
    "Jacobian": "T trunk backwards, T gradients kept",
    "Gramian": "1 trunk backward at `features`, else T",
    "": "1 backward, as without",
}
INTRO = """# Weightings

How much each task's loss counts in a step: `mtl train weighting=NAME weighting.OPTION=VALUE`. This page is written from
the code by `python -m docs.weightings`, and a test fails when it is stale.

Every weighting goes with every `transform` of the losses (`log`, `zscore`, `scale_invariant`) and with
`reduction=sum|mean`; those that take gradients also with `gradients=shared|features|last_layer|prompt`, `weigh_every=k`
and `weight_heads=true`.

- **needs**: what a step is told beside the tasks that are in it: their losses, the Gramian of their gradients, or the
  gradients themselves (Jacobian).
- **alike**: what the weights of K tasks come to that are alike in everything, as published; `reduction` changes it.
- **cost**: of one step with T tasks. At `gradients=features` (tasks that share their rows) a Gramian costs T backwards
  through heads and one through the trunk, else one through the trunk for each task; `weigh_every=k` pays for it in
  every k-th step alone. Measured times are in [benchmarks.md](benchmarks.md).
- **claims**: what holds for the default options. Each is checked by `tests/strategies/weighting/test_laws.py` with
  random losses and Gramians of every awkward kind: zero, tied, opposite, rank one, unequal by factors up to 10,000.
"""


@dataclass(frozen=True)
class Entry:
    """A class and the files of conf/weighting that name it, the plainest first."""

    cls: type[Weighting]
    names: list[str]
    options: dict[str, Any]

    def make(self, tasks: int = 4) -> Weighting:
        """One for tasks of no special kind."""
        return self.cls({f"task{i}": "classification" for i in range(tasks)}, **self.options)


def entries() -> list[Entry]:
    """One a class, in the order of names."""
    found: dict[type[Weighting], Entry] = {}
    for path in sorted((ROOT / "conf" / "weighting").glob("*.yaml"), key=lambda path: path.stem):
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
        module, name = options.pop("_target_").rsplit(".", 1)
        cls = getattr(importlib.import_module(module), name)
        found.setdefault(cls, Entry(cls, [], options)).names.append(path.stem)
    return list(found.values())


def gradients(weighting: Weighting) -> str:
    """What it takes of them: `Jacobian`, `Gramian` or nothing."""
    return next((word for flag, word in TAKEN.items() if getattr(weighting, flag, False)), "")


def hears_losses(entry: Entry) -> bool:
    """Whether other losses lead to other weights, now or (by its own parameters) later."""
    seen = []
    for seed in (1, 2):
        torch.manual_seed(0)
        weighting = entry.make()
        if list(weighting.parameters()):
            return True
        torch.manual_seed(seed)
        losses = torch.rand(20, 4) + 0.1
        steps = (Signals(torch.arange(4), losses[i], i, 20, i, torch.eye(4) + 0.1) for i in range(20))
        seen.append(torch.stack([weighting(step).detach() for step in steps]))
    return not torch.equal(*seen)


def needs(entry: Entry) -> str:
    """Losses, Gramian, Jacobian or nothing; of gradient methods other than on a Gramian the losses are not tried."""
    taken = gradients(entry.make())
    losses = "losses" if taken != "Jacobian" and hears_losses(entry) else ""
    return ", ".join(filter(None, (taken, losses))) or "nothing"


def legend() -> Iterator[str]:
    """A line a claim, from its own words."""
    body = next(node for node in ast.parse(inspect.getsource(claims)).body if isinstance(node, ast.ClassDef)).body
    for node, following in pairwise(body):
        if (
            isinstance(node, ast.Assign)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            yield f"- *{ast.unparse(node.targets[0]).lower().replace('_', ' ')}*: {following.value.value}"


def row(entry: Entry) -> str:
    """A line of the table."""
    doc = inspect.getdoc(inspect.getmodule(entry.cls)) or ""
    names = ", ".join(f"`{name}`" for name in entry.names)
    options = ", ".join(f"`{name}={'null' if value is None else value}`" for name, value in entry.options.items())
    held = ", ".join(claim.name.lower().replace("_", " ") for claim in claims.Claim if claim in entry.cls.claims)
    alike = "K" if entry.cls.scale == "sum" else "1"
    cells = (
        names,
        doc.split("\n\n")[0].replace("\n", " "),
        options,
        needs(entry),
        alike,
        COSTS[gradients(entry.make())],
    )
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in (*cells, held or "nothing")) + " |"


def page() -> str:
    """The whole of it."""
    heads = ("weighting", "what it is, and its source", "options", "needs", "alike", "cost", "claims")
    table = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *map(row, entries())]
    return "\n".join([INTRO, "The claims:\n", *legend(), "", *table]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
